"""Compiled functions that start fast where a cache can be written, and still start where not.

Machine code holds the functions it calls and the constants it reads, wherever they are defined.
So the cache depends on a digest of sources: of every file in the function's folder, and of every
module of ours that the function's module imports, directly or through others.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import structlog

from native.catalogue import COMPILE_CACHE
from native.parts import Part

Function = TypeVar("Function", bound=Callable[..., object])
_UNUSED = ("scipy", "cffi")
_STAMP, _VERSION = "_source_stamp", "_version"


@contextmanager
def without_linear_algebra() -> Iterator[None]:
    """Hide packages that numba would import for features that are not used here.

    They are a seventh of the memory of a scoring process, and a third of a second of its start.
    """
    hidden = [name for name in _UNUSED if name not in sys.modules]
    for name in hidden:
        # None in sys.modules makes the import fail
        sys.modules[name] = cast(ModuleType, None)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with without_linear_algebra():
    import numba


def compiled(function: Function, cache: Part = COMPILE_CACHE) -> Function:
    """Compile on first call: no interpreter lock, IEEE arithmetic, kept on disk if possible."""
    return _compiled(function, cache, nogil=True)


def compiled_briefly(function: Function, cache: Part = COMPILE_CACHE) -> Function:
    """The same for calls of microseconds: it keeps the interpreter lock.

    Another thread that takes the lock during such a call may keep it for longer than the call.
    """
    return _compiled(function, cache, nogil=False)


def _compiled(function: Function, cache: Part, **options: bool) -> Function:
    dispatcher = _cached(function, options) if cache.in_use else None
    if dispatcher is not None and not _follow_sources(dispatcher, function, cache):
        dispatcher = None
    if dispatcher is None:
        dispatcher = numba.njit(error_model="numpy", **options)(function)
    return cast(Function, dispatcher)


def _cached(function: Function, options: dict[str, bool]) -> Any:
    """The function with a cache on disk; None where numba finds no folder it can write to."""
    try:
        return numba.njit(cache=True, error_model="numpy", **options)(function)
    except RuntimeError as error:
        structlog.get_logger().warning(
            "compile_cache_unavailable",
            function=function.__qualname__,
            reason=str(error),
            remedy="set NUMBA_CACHE_DIR to a writable directory",
        )
        return None


def _follow_sources(dispatcher: Any, function: Function, cache: Part) -> bool:
    """Let the cache on disk notice a change of any source that the function depends on.

    Numba alone notices only a change of the function's file, not of the compiled functions and
    constants of other files, and would load machine code of the old source. The digest is part of
    the version as well, because numba compares that before it unpickles the index: an index that
    names a class which was renamed since cannot be unpickled.
    """
    index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    for name in (_STAMP, _VERSION):
        if name not in getattr(index, "__dict__", {}):
            cache.fall_back(f"numba's cache index has no {name}")
            return False
    digest = source_digest(function)
    setattr(index, _STAMP, digest)
    setattr(index, _VERSION, (getattr(index, _VERSION), digest))
    return True


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
