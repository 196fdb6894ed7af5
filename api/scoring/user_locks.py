"""Locks of users and ids: rows of one user are scored one after the other, in ingestion order.

A row's features count every row of its user that was ingested before it. If two of them were scored
at once in a thread pool, the later one could miss the earlier one, and training would compute
another vector than the one that was served.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import NamedTuple, Protocol

from pydantic import BaseModel

from shared.clock import MICROS_PER_SECOND, Clock
from shared.usecase.row_store import RowFields

# Each row takes one for its user and one for its id.
_STRIPES = 1_024
# Readings of two threads, and corrections that are no jump, may differ by this much.
_SET_BACK_US = MICROS_PER_SECOND


class Instant(NamedTuple):
    """The time at which a row was accepted.

    Attributes:
        now_us: the present, by which events are dated that name no instant.
        stamp_us: the ingestion time, later than all before it.
    """

    now_us: int
    stamp_us: int


class MonotonicClock:
    """The present, which follows the clock, and ingestion times, which only ever grow.

    The two are the same number unless the clock was set back: then events happen at the time
    that the clock shows, and ingestion times go on from the last one, a microsecond at a time,
    until the clock has reached it. Their order is the order of scoring whatever the clock does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_us = 0
        self._last_stamp_us = 0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """The present: never the same instant twice, earlier only after the clock was set back."""
        with self._lock:
            return self._now_us()

    def ingestion(self) -> Instant:
        """The present, and the ingestion time of a row that is accepted now."""
        with self._lock:
            now_us = self._now_us()
            stamp_us = self._last_stamp_us + 1
            stamp_us = max(stamp_us, now_us)
            self._last_stamp_us = stamp_us
        return Instant(now_us, stamp_us)

    def ahead_us(self) -> int:
        """The lead of the last ingestion time over the clock; 0 unless the clock was set back."""
        with self._lock:
            return max(0, self._last_stamp_us - self._clock.now_us())

    def _now_us(self) -> int:
        now_us, last_us = self._clock.now_us(), self._last_us
        if last_us - _SET_BACK_US < now_us <= last_us:
            now_us = last_us + 1
        self._last_us = now_us
        return now_us


def lock_keys(requests: Iterable[BaseModel], fields: RowFields) -> Iterator[str]:
    """The lock keys of rows: their users, and their ids, which two users may have sent.

    A generated user or id is unique to this row and needs no lock.
    """
    for request in requests:
        for name in (fields.entity, fields.row_id):
            key = getattr(request, name, None) if name else None
            if key is not None:
                yield key


class UserLocks(Protocol):
    """Prevents rows of one user, or of one id, from being scored concurrently."""

    def of(self, keys: Iterable[str]) -> AbstractContextManager[None]:
        """Held while rows with these keys are accepted, scored and recorded."""
        ...


class NoLocks:
    """Locks without effect, for scoring on one thread."""

    def __init__(self) -> None:
        self._nothing = nullcontext()

    def of(self, keys: Iterable[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        return self._nothing


class StripedLocks:
    """A fixed number of locks; a key always falls to the same one."""

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    @contextmanager
    def of(self, keys: Iterable[str]) -> Iterator[None]:
        # Always in the same order: two batches with common users do not wait for each other.
        stripes = sorted({hash(key) % _STRIPES for key in keys})
        with ExitStack() as stack:
            for stripe in stripes:
                stack.enter_context(self._locks[stripe])
            yield
