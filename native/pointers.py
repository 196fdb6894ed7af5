"""Memory at an address, for compiled code; the caller keeps its owner alive."""

from typing import Any

from native.catalogue import RAW_ADDRESSES
from native.compiled import compiled, without_linear_algebra

with without_linear_algebra():
    import numpy as np


def _pointer_to() -> Any:
    """Compiled code's conversion of an integer to `void *`; None where it is unavailable."""
    if not RAW_ADDRESSES.in_use:
        return None
    try:
        with without_linear_algebra():
            from numba import types  # noqa: PLC0415 - only what is checked is imported
            from numba.core import cgutils  # noqa: PLC0415
            from numba.extending import intrinsic  # noqa: PLC0415

        void_pointer, machine_pointer = types.voidptr, cgutils.voidptr_t
    except (ImportError, AttributeError) as error:
        RAW_ADDRESSES.fall_back(str(error))
        return None

    def pointer_to(_context: Any, address: Any) -> Any:
        def generate(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], machine_pointer)

        return void_pointer(address), generate

    return intrinsic(pointer_to)


pointer_to: Any = _pointer_to()
"""None where RAW_ADDRESSES is not in use: nothing below can be compiled then."""

with without_linear_algebra():
    from numba import carray


@compiled
def integers_at(address: int, length: int) -> Any:
    return carray(pointer_to(address), (length,), np.int64)


@compiled
def bytes_at(address: int, length: int) -> Any:
    return carray(pointer_to(address), (length,), np.uint8)
