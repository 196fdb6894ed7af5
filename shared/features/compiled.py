"""Compiled functions that start fast where a cache can be written, and still start where not."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import structlog

Function = TypeVar("Function", bound=Callable[..., object])


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
