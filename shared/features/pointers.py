"""What lies at an address, for compiled code; somebody else has to keep it alive."""

from typing import Any

from native.compiled import compiled, without_linear_algebra

with without_linear_algebra():
    import numpy as np
    from numba import carray, types
    from numba.core import cgutils
    from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def pointer_to(_context: Any, address: Any) -> Any:
    """An address as `void *`."""

    def generate(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


@compiled
def integers_at(address: int, length: int) -> Any:
    return carray(pointer_to(address), (length,), np.int64)


@compiled
def bytes_at(address: int, length: int) -> Any:
    return carray(pointer_to(address), (length,), np.uint8)
