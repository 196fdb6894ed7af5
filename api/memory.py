"""Memory of a worker: what starting needed goes back, what stays for good is not searched again."""

import ctypes
import gc
import re
from collections.abc import Iterator
from pathlib import Path

# <malloc.h>
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_ARENAS = 2
_COLLECT_AFTER = (20_000, 20, 20)
_OWN_MAPPING_BYTES = 256 * 1024
# <sys/mman.h>
_MADV_DONTNEED = 4
GIVE_BACK_SECONDS = 1.0
# Giving 32 MiB back takes 5 ms, in which nothing is allocated; ordinary load stays below it.
_GIVE_BACK_BYTES = 32 * 1024 * 1024
# /proc/self/smaps: private parts of files (they have an inode) that cannot be written, and how
# much of each is the process's own after all: addresses that were filled in at its start.
_READ_ONLY_PARTS = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* .*\n(?:[A-Z].*\n)*?Anonymous: +(\d+) kB",
    re.MULTILINE,
)


def keep_small() -> None:
    """Tell the allocator to give back what is freed; before the first thread starts (glibc).

    Left alone it makes an arena a thread, and once a bundle has been freed it takes the next
    blocks of that size from the heap, where a small one behind them keeps them for ever.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)


def release_startup_pages() -> None:
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
    forget_code()


class _AllocatorFigures(ctypes.Structure):
    """What `mallinfo2` returns, in bytes (<malloc.h>)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def give_back_freed() -> None:
    """Return freed memory to the system where there is much of it (glibc).

    A flood leaves its freed blocks between those that are in use. The allocator returns only what
    lies at the end of its heap, so without this the next flood of another kind comes on top.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return
    libc.mallinfo2.restype = _AllocatorFigures
    if libc.mallinfo2().fordblks >= _GIVE_BACK_BYTES:
        libc.malloc_trim(0)


def forget_code() -> None:
    """Give back pages that are as in their files; what is used again is mapped again (Linux).

    A compiler that was needed to load compiled functions, and how libraries begin, are half
    of what a worker holds after its start. Their files stay in the system's cache: coming
    back costs a microsecond for 16 pages, and a tenth of them ever does.
    """
    libc = ctypes.CDLL(None)
    for begin, end in _unchanged_parts():
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_DONTNEED)


def _unchanged_parts() -> Iterator[tuple[int, int]]:
    """Where files lie in memory that nobody has written to, as addresses."""
    try:
        told = Path("/proc/self/smaps").read_bytes()
    except OSError:
        return
    for begin, end, own_kib in _READ_ONLY_PARTS.findall(told):
        if own_kib == b"0":
            yield int(begin, 16), int(end, 16)
