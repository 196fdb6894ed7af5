"""Compiled functions that start fast where a cache can be written, and still start where not."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar, cast

import structlog

Function = TypeVar("Function", bound=Callable[..., object])
_UNUSED = ("scipy", "cffi")


@contextmanager
def without_linear_algebra() -> Iterator[None]:
    """Hide packages that numba would import on behalf of functions that are not used here.

    They are a seventh of the memory of a scoring process, and a third of a second of its start.
    """
    hidden = [name for name in _UNUSED if name not in sys.modules]
    for name in hidden:
        # what the import system takes for: cannot be found
        sys.modules[name] = cast(ModuleType, None)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with without_linear_algebra():
    import numba


def compiled(function: Function) -> Function:
    """Compile on first call: no interpreter lock, IEEE arithmetic, kept on disk if possible.

    The cache on disk notices a change in the file of the function only, not in compiled
    functions of other files that it calls: keep those that call each other in one file.
    """
    try:
        return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError as error:  # numba: no directory it could write to
        structlog.get_logger().warning(
            "compile_cache_unavailable",
            function=function.__qualname__,
            reason=str(error),
            remedy="set NUMBA_CACHE_DIR to a writable directory",
        )
        return cast(Function, numba.njit(nogil=True)(function))
