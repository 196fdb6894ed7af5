"""Column names of all use cases, and where code outside their folders says one."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

import usecases
from shared.rows.declaration import read_declaration
from tests.support.shipped_use_cases import ROOT, shipped_names

_WORD = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
_IDENTIFIERS = ("id", "attr", "arg", "name", "asname")


def column_names() -> Mapping[str, str]:
    """Column -> one use case that has it: fields of requests, and all names of a declaration."""
    found: dict[str, str] = {}
    for name in shipped_names():
        fields = set(usecases.load_serving(name).request_model.model_fields)
        if usecases.declared_folder(name) is not None:
            schema = read_declaration(ROOT / name / usecases.DECLARATION).row_schema
            roles = schema.roles
            fields |= {*schema.names, *(column.source for column in schema.columns)}
            fields |= {
                roles.label or "",
                roles.known_at or "",
                roles.entity or "",
                roles.time or "",
            }
        found |= dict.fromkeys(fields - {""}, name)
    return found


def columns_said(source: str, columns: Iterable[str]) -> set[str]:
    """The column names that are identifiers in a source, or stand in its texts.

    Within a longer text only names with an underscore count: the others are words of English.
    """
    wanted = set(columns)
    tree = ast.parse(source)
    docstrings = set(_docstrings(tree))
    said: set[str] = set()
    for node in ast.walk(tree):
        said |= {str(getattr(node, part)) for part in _IDENTIFIERS if hasattr(node, part)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # a docstring is for people
            is_code = node not in docstrings
            said |= {node.value, *_WORD.findall(node.value)} if is_code else set()
    return said & wanted


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts that stand alone: docstrings of modules, classes, functions and names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def files_that_say(rooms: Iterable[str], columns: Iterable[str]) -> dict[str, set[str]]:
    """File, relative to the repository -> the column names in it."""
    base = ROOT.parent
    found = {
        path.relative_to(base).as_posix(): columns_said(path.read_text(encoding="utf-8"), columns)
        for room in rooms
        for path in sorted((base / room).rglob("*.py"))
    }
    return {path: said for path, said in found.items() if said}
