"""The source text that a compiled function depends on, as one digest.

Machine code holds the functions it calls and the constants it reads, wherever they are defined.
So the digest covers every file in the function's folder, and every module of ours that the
function's module imports, directly or through others.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([\w., \t]+))",
    re.MULTILINE,
)
_OURS = ("learning", "native", "shared", "usecases")
"""Packages whose modules count wherever they are imported."""


def source_digest(function: Callable[..., object]) -> str:
    """Changes when any source that the function may depend on changes."""
    folder = Path(function.__code__.co_filename).resolve().parent
    files = {*folder.glob("*.py"), *_imported_by(function.__module__)}
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        digest.update(b"%s\0%s\0" % (file.name.encode(), _digest_of(file)))
    return digest.hexdigest()


@cache
def _imported_by(module: str) -> frozenset[Path]:
    """Files of ours that a module imports, directly or not."""
    seen: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if name in seen or file is None:
            continue
        seen[name] = file
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        names = (_absolute(each, package) for each in _imports(file))
        waiting += [each for each in names if each.partition(".")[0] in _OURS]
    return frozenset(seen.values())


def _absolute(name: str, package: str) -> str:
    """The whole name of a module that is imported by its place; empty if there is no such place."""
    try:
        return resolve_name(name, package)
    except ImportError:
        return ""


def _file_of(name: str) -> Path | None:
    """The source of a module that is imported and ours."""
    file = getattr(sys.modules.get(name), "__file__", None)
    path = None if file is None else Path(file).resolve()
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


@cache
def _imports(file: Path) -> tuple[str, ...]:
    return tuple(_names_in(file.read_text(errors="replace")))


def _names_in(source: str) -> Iterator[str]:
    """Names that may be modules; others are ignored later, when they are not found."""
    for package, names, modules in _IMPORT.findall(source):
        if package:
            yield package
            for name in re.findall(r"\w+", names):
                yield f"{package}{'' if package.endswith('.') else '.'}{name}"
        for module in modules.split(","):
            yield module.split(" as ")[0].strip()


@cache
def _digest_of(file: Path) -> bytes:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
