"""Compiled functions that start fast where a cache can be written, and still start where not."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

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
    """Compile on first call: no interpreter lock, IEEE arithmetic, kept on disk if possible."""
    return _compiled(function, nogil=True)


def compiled_briefly(function: Function) -> Function:
    """The same for what takes microseconds: it keeps the interpreter lock.

    Another thread that was let in for so little would keep it for as long as it likes.
    """
    return _compiled(function, nogil=False)


def _compiled(function: Function, **options: bool) -> Function:
    try:
        dispatcher = numba.njit(cache=True, error_model="numpy", **options)(function)
    except RuntimeError as error:  # numba: no directory it could write to
        structlog.get_logger().warning(
            "compile_cache_unavailable",
            function=function.__qualname__,
            reason=str(error),
            remedy="set NUMBA_CACHE_DIR to a writable directory",
        )
        return cast(Function, numba.njit(error_model="numpy", **options)(function))
    _watch_folder(dispatcher, Path(function.__code__.co_filename).parent)
    return cast(Function, dispatcher)


def _watch_folder(dispatcher: Any, folder: Path) -> None:
    """Let the cache on disk notice a change of any file beside the function's.

    By itself it notices one in the file of the function only, not in the compiled functions
    of other files that it calls.
    """
    index = dispatcher._cache._cache_file  # noqa: SLF001 - numba has no setting for it
    index._source_stamp = (_stamp(folder), _stamp(Path(__file__).parent))  # noqa: SLF001


@cache
def _stamp(folder: Path) -> tuple[tuple[str, float, int], ...]:
    found = ((file.name, file.stat()) for file in sorted(folder.glob("*.py")))
    return tuple((name, stat.st_mtime, stat.st_size) for name, stat in found)
