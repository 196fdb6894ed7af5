"""One deadline for all reads of a request, so that a slow database delays it only this long.

A request is processed by one thread, so the deadline is that of the thread. Code that waits for the
database checks the remaining time (`seconds_left`); code that continues without an answer records
it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _OfThread(threading.local):
    ends_at: float | None = None
    missed = 0


_thread = _OfThread()


@contextmanager
def reading_until(ends_at: float) -> Iterator[None]:
    """Limits every read of this thread inside the block to this `time.monotonic` instant."""
    before, _thread.ends_at = _thread.ends_at, ends_at
    try:
        yield
    finally:
        _thread.ends_at = before


def ends_at() -> float | None:
    """The deadline of this thread's reads; None: it may wait."""
    return _thread.ends_at


def tell_missed() -> None:
    """Record that this thread continued without a read it needed."""
    _thread.missed += 1


def missed() -> int:
    """The number of such reads of this thread."""
    return _thread.missed
