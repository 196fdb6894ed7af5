"""One deadline for all that a request reads: a database that is slow is worth no more than that.

A request is worked off by one thread, so the deadline is that of the thread. Whoever waits for the
database asks how much is left (`seconds_left`); whoever goes on without an answer says so.
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
    """Nothing that this thread reads inside takes longer than until then, by `time.monotonic`."""
    before, _thread.ends_at = _thread.ends_at, ends_at
    try:
        yield
    finally:
        _thread.ends_at = before


def ends_at() -> float | None:
    """When this thread has to go on without what it reads; None: it may wait."""
    return _thread.ends_at


def tell_missed() -> None:
    """This thread has gone on without something that it wanted to read."""
    _thread.missed += 1


def missed() -> int:
    """How often this thread has done so."""
    return _thread.missed
