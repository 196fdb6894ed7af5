"""The figures of `python -m scripts.shape`, from the files' syntax trees; nothing is imported."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path
from statistics import median_low

PACKAGES = (
    "api",
    "scheduler",
    "console",
    "shared",
    "learning",
    "native",
    "understudy",
    "usecases",
    "simulator",
)
MAX_NESTING = 3
MAX_FILE_LINES = 400
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)


@dataclass(frozen=True)
class Function:
    """A function with its place, its length and how deep its statements are nested."""

    place: str
    lines: int
    nesting: int


@dataclass(frozen=True)
class Shape:
    """The figures of `python -m scripts.shape`."""

    files: int
    lines: int
    median_file_lines: int
    median_function_lines: int
    longest_function: Function
    one_importer: list[str]
    one_importer_beside: list[str]
    deep: list[str]
    long_files: list[str]


def measure(root: Path, files: list[Path]) -> Shape:
    """Every figure of these files; empty ones (`__init__.py`) have no size of their own."""
    trees = {file.relative_to(root).as_posix(): ast.parse(file.read_text()) for file in files}
    lengths = {
        path: count for path in trees if (count := len((root / path).read_text().splitlines()))
    }
    functions = [one for path, tree in trees.items() for one in functions_of(path, tree)]
    importers = importers_of(trees)
    alone = {path: next(iter(found)) for path, found in importers.items() if len(found) == 1}
    return Shape(
        files=len(lengths),
        lines=sum(lengths.values()),
        median_file_lines=median_low(lengths.values()),
        median_function_lines=median_low([one.lines for one in functions] or [0]),
        longest_function=max(functions, key=lambda one: one.lines, default=Function("none", 0, 0)),
        one_importer=[f"{path} (by {importer})" for path, importer in sorted(alone.items())],
        one_importer_beside=[
            path for path, by in sorted(alone.items()) if Path(path).parent == Path(by).parent
        ],
        deep=[f"{one.place} ({one.nesting})" for one in functions if one.nesting > MAX_NESTING],
        long_files=[
            f"{path} ({count})" for path, count in lengths.items() if count > MAX_FILE_LINES
        ],
    )


def functions_of(path: str, tree: ast.Module) -> Iterator[Function]:
    """Every function and method; a nested one counts on its own and as lines of its parent."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            place = f"{path}:{node.lineno} {node.name}"
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Function(place, lines, max(map(_nesting, node.body)))


def _nesting(node: ast.AST) -> int:
    """The number of blocks inside each other; functions inside are omitted."""
    if isinstance(node, (*FUNCTIONS, ast.Lambda)):
        return 0
    below = max((_nesting(child) for child in _statements(node)), default=0)
    return below + isinstance(node, BLOCKS)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Children of a statement; an `elif` is one level with its `if`, not one below it."""
    for name, value in ast.iter_fields(node):
        children = [child for child in _as_list(value) if isinstance(child, ast.AST)]
        if name == "orelse" and len(children) == 1 and isinstance(children[0], ast.If):
            yield from _statements(children[0])
        else:
            yield from children


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def importers_of(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """The files of the product that import each file; a file that none imports has no entry."""
    modules = {module_name(path): path for path in trees}
    importers: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        for name in imported_names(tree, package_of(path)):
            target = modules.get(name)
            if target and target != path:
                importers[target].add(path)
    return importers


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def package_of(path: str) -> str:
    """The package that relative imports of a file start from."""
    return path.rpartition("/")[0].replace("/", ".")


def imported_names(tree: ast.Module, package: str) -> Iterator[str]:
    """Modules that may be meant by the imports; `from a import b` may mean `a` or `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            module = resolve_name(relative, package) if node.level else relative
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
