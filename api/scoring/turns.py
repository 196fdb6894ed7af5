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

from shared.clock import Clock
from shared.transaction import Transaction

_STRIPES = 256


class StrictClock:
    """A clock that never tells the same instant twice, nor an earlier one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_us = 0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        with self._lock:
            self._last_us = max(self._clock.now_us(), self._last_us + 1)
            return self._last_us


class Turns(Protocol):
    """How rows of one user are kept apart."""

    def of(self, user_ids: Iterable[str]) -> AbstractContextManager[None]: ...

    def stamped(self, transaction: Transaction) -> Transaction:
        """The transaction as ingested now, inside its user's turn."""
        ...


class OneThread:
    """Everything runs on one thread, so it is always one's turn."""

    def __init__(self) -> None:
        self._always = nullcontext()

    def of(self, user_ids: Iterable[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        return self._always

    def stamped(self, transaction: Transaction) -> Transaction:
        return transaction


class ManyThreads:
    """A fixed number of locks; a user always falls to the same one."""

    def __init__(self, clock: Clock) -> None:
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
        return replace(transaction, ingested_at_us=self._clock.now_us())
