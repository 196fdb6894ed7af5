"""The walks of docs/architecture.md name functions that exist."""

import ast
from pathlib import Path

import pytest

from tests.support.walks import REQUEST, ROOT, stops

CANDIDATE = stops("One candidate, step by step")


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(), str(path))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = (ast.FunctionDef, ast.AsyncFunctionDef)
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, methods)}
    return found


@pytest.mark.parametrize(("path", "name"), [*REQUEST, *CANDIDATE])
def test_each_stop_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    assert name in functions_in(ROOT / path)


def test_the_walks_are_short() -> None:
    """Stops and files of each; raise neither without a reason."""
    assert (len(REQUEST), len(CANDIDATE)) <= (45, 40)
    assert len({path for path, _ in REQUEST}) <= 25
    assert len({path for path, _ in CANDIDATE}) <= 30
