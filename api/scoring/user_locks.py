"""Whose turn it is: rows of one user are scored one after the other, in the order of their stamps.

A row's features count every row of its user that was ingested before it. Were two of them
scored at once in a thread pool, the later stamp could miss the earlier row, and training
would compute another vector than the one that was served.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Protocol

from shared.clock import MICROS_PER_SECOND, Clock
from shared.transaction import Transaction

# Each row takes one for its user and one for its id.
_STRIPES = 1_024
# What two threads' readings, and corrections that are no jump, may differ by.
_SET_BACK_US = MICROS_PER_SECOND


class MonotonicClock:
    """The present, which follows the clock, and ingestion stamps, which only ever grow.

    The two are the same number unless the clock was set back: then events happen at the time
    that the clock tells, and stamps go on from the last one, a microsecond at a time, until
    the clock has come there. Stamps say what was known when a row was scored, so their order
    is the order of scoring whatever the clock does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_us = 0
        self.last_stamp_us = 0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """Never the same instant twice, and an earlier one only after the clock was set back."""
        with self._lock:
            now_us, last_us = self._clock.now_us(), self._last_us
            if last_us - _SET_BACK_US < now_us <= last_us:
                now_us = last_us + 1
            self._last_us = now_us
            return now_us

    def stamp_us(self, now_us: int) -> int:
        """The ingestion stamp of a row whose present is `now_us`: later than all before it."""
        with self._lock:
            self.last_stamp_us = max(now_us, self.last_stamp_us + 1)
            return self.last_stamp_us

    def ahead_us(self) -> int:
        """How far the last stamp is ahead of the present; 0 unless the clock was set back."""
        with self._lock:
            return max(0, self.last_stamp_us - self._clock.now_us())


class UserLocks(Protocol):
    """How rows of one user are kept apart."""

    def of(self, user_ids: Iterable[str]) -> AbstractContextManager[None]: ...

    def stamped(self, transaction: Transaction) -> Transaction:
        """The transaction as ingested now, inside its user's turn."""
        ...


class NoLocks:
    """Everything runs on one thread, so it is always one's turn."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._always = nullcontext()

    def of(self, user_ids: Iterable[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        return self._always

    def stamped(self, transaction: Transaction) -> Transaction:
        clock, now_us = self._clock, transaction.ingested_at_us
        if now_us > clock.last_stamp_us:
            # nearly always; without the lock, for there is no other thread
            clock.last_stamp_us = now_us
            return transaction
        return replace(transaction, ingested_at_us=clock.stamp_us(now_us))


class StripedLocks:
    """A fixed number of locks; a user always falls to the same one."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._clock = clock
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    @contextmanager
    def of(self, user_ids: Iterable[str]) -> Iterator[None]:
        # Always in the same order: two batches with common users do not wait for each other.
        stripes = sorted({hash(user_id) % _STRIPES for user_id in user_ids})
        with ExitStack() as stack:
            for stripe in stripes:
                stack.enter_context(self._locks[stripe])
            yield

    def stamped(self, transaction: Transaction) -> Transaction:
        return replace(transaction, ingested_at_us=self._clock.stamp_us(self._clock.now_us()))
