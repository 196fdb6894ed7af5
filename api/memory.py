"""Memory of a worker: what starting needed goes back, what stays for good is not searched again."""

import ctypes
import gc

# <malloc.h>
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_ARENAS = 2
_COLLECT_AFTER = (20_000, 20, 20)
_OWN_MAPPING_BYTES = 256 * 1024


def keep_small() -> None:
    """Tell the allocator to give back what is freed; before the first thread starts (glibc).

    Left alone it makes an arena a thread, and once a bundle has been freed it takes the next
    blocks of that size from the heap, where a small one behind them keeps them for ever.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)


def settle() -> None:
    """After starting: keep what is there out of later collections, give free pages back.

    The libraries' own objects are half a million; searching them takes 100 ms, in a request.
    Nor are they searched here: the first requests are waiting.
    """
    gc.freeze()
    # What scoring keeps is bytes and numbers, hardly a cycle in it: looking less often is
    # a tenth less time a row, and no row waits 30 ms for a look at all of it.
    gc.set_threshold(*_COLLECT_AFTER)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
