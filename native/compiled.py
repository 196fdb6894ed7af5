"""Compiled functions that start fast where a cache can be written, and still start where not."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar, cast

import structlog

from native.catalogue import COMPILE_CACHE
from native.parts import Part
from native.sources import source_digest

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
