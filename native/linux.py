"""Calls of glibc and Linux that keep a process small, signal its parent's end, identify peers."""

import ctypes
import gc
import os
import re
import signal
import socket
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from native.catalogue import ALLOCATOR, CODE_PAGES, PARENT_DEATH, PEER_CREDENTIALS
from native.parts import Part

# <malloc.h>
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_ARENAS = 2
_COLLECT_AFTER = (20_000, 20, 20)
_OWN_MAPPING_BYTES = 256 * 1024
# <sys/mman.h>
_MADV_DONTNEED = 4
# <sys/prctl.h>: the signal to get when the parent ends
_PR_SET_PDEATHSIG = 1
# pid, user and group of the process at the other end of a socket
_CREDENTIALS = struct.Struct("3i")
GIVE_BACK_SECONDS = 1.0
# Returning 32 MiB takes 5 ms, during which allocations block; ordinary load frees less.
_GIVE_BACK_BYTES = 32 * 1024 * 1024
# /proc/self/smaps: read-only private mappings of files (with an inode), and how much of each
# is private memory: addresses relocated at start.
_READ_ONLY_PARTS = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* .*\n(?:[A-Z].*\n)*?Anonymous: +(\d+) kB",
    re.MULTILINE,
)


class _AllocatorFigures(ctypes.Structure):
    """The figures of `mallinfo2`, in bytes (<malloc.h>)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def keep_small(allocator: Part = ALLOCATOR) -> None:
    """Tell the allocator to return what is freed; before the first thread starts.

    By default it makes an arena for each thread, and once a bundle has been freed it takes the
    next blocks of that size from the heap, where a small block behind them keeps them.
    """
    if allocator.in_use:
        _libc().mallopt(_M_ARENA_MAX, _ARENAS)
        _libc().mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)


def release_startup_pages(allocator: Part = ALLOCATOR, pages: Part = CODE_PAGES) -> None:
    """Excludes existing objects from later collections and returns free pages, after the start.

    The libraries' own objects are half a million; searching them takes 100 ms, in a request.
    They are not searched here either, because the first requests are waiting.
    """
    gc.freeze()
    # Scoring creates bytes and numbers and few reference cycles: rarer garbage collection saves a
    # tenth of the time a row, and no row waits 30 ms for a full collection.
    gc.set_threshold(*_COLLECT_AFTER)
    # It was off for the start (shared/system/collector.py).
    gc.enable()
    if allocator.in_use:
        _libc().malloc_trim(0)
    forget_code(pages)


def give_back_freed(allocator: Part = ALLOCATOR) -> None:
    """Return freed memory to the system where there is much of it.

    A flood leaves its freed blocks between those that are in use. The allocator returns only what
    lies at the end of its heap, so without this the next flood of another kind comes on top.
    """
    if allocator.in_use and _libc().mallinfo2().fordblks >= _GIVE_BACK_BYTES:
        _libc().malloc_trim(0)


def forget_code(pages: Part = CODE_PAGES) -> None:
    """Return pages that equal their files; those that are used again are mapped again.

    A compiler that was needed to load compiled functions, and the start of libraries, are half
    of what a worker holds after its start. Their files stay in the system's cache: mapping
    16 pages again costs a microsecond, and a tenth of them is ever used again.
    """
    if not pages.in_use:
        return
    for begin, end in _unchanged_parts():
        _libc().madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_DONTNEED)


def signal_when_parent_ends(number: signal.Signals, death: Part = PARENT_DEATH) -> None:
    """Have the kernel send this process a signal when the thread that started it ends.

    It reaches a process whose machine code keeps the interpreter lock; a watching thread does not.
    """
    if death.in_use and _libc().prctl(_PR_SET_PDEATHSIG, number) != 0:
        death.fall_back("prctl(PR_SET_PDEATHSIG) is refused")


def peer_is_ours(connection: socket.socket, credentials: Part = PEER_CREDENTIALS) -> bool:
    """True if the process at the other end of a local socket belongs to this user.

    Without the kernel's answer the mode of the socket's directory has to keep others out.
    """
    if not credentials.in_use:
        return True
    option: int = socket.SO_PEERCRED
    raw = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    _pid, user, _group = _CREDENTIALS.unpack(raw)
    return bool(user == os.geteuid())


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallinfo2"):
        libc.mallinfo2.restype = _AllocatorFigures
    return libc


def _unchanged_parts() -> Iterator[tuple[int, int]]:
    """The address ranges of mapped files that this process has not written to."""
    try:
        maps = Path("/proc/self/smaps").read_bytes()
    except OSError:
        return
    for begin, end, own_kib in _READ_ONLY_PARTS.findall(maps):
        if own_kib == b"0":
            yield int(begin, 16), int(end, 16)
