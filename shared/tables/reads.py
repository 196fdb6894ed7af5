"""Reads of a database that may be slow or away: deadline, state, and going on without them.

All reads of a request have one deadline, so that a slow database delays it only this long. A
request is processed by one thread, so the deadline is that of the thread. A guard counts a failed
read and spares the next ones a while; code that continues without an answer records it. Each engine
has a state of its reads, for health and metrics.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from sqlalchemy import Engine

from shared.errors import DataUnavailable


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


_NAME = "read_standing"
# Without a read for this long, the state is unknown.
_FORGOTTEN_SECONDS = 60.0


class ReadStanding:
    """Thread-safe; several guards may report on the same database.

    Attributes:
        missed_reads: reads that were not answered since the start.
        reason: the cause of the last one.
    """

    def __init__(self) -> None:
        self.missed_reads = 0
        self.reason = ""
        self._lock = threading.Lock()
        # the readers that failed, each with its last failure
        self._failing: dict[object, float] = {}
        self._since = 0.0

    @property
    def failing_seconds(self) -> float | None:
        """Seconds for which reads have failed; None: they succeed."""
        now = time.monotonic()
        with self._lock:
            newest = max(self._failing.values(), default=now - _FORGOTTEN_SECONDS)
        return now - self._since if now - newest < _FORGOTTEN_SECONDS else None

    def failed(self, whose: object, reason: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now - max(self._failing.values(), default=0.0) > _FORGOTTEN_SECONDS:
                self._since = now
            self._failing[whose] = now
            self.reason = reason

    def missed(self) -> None:
        with self._lock:
            self.missed_reads += 1

    def answered(self, whose: object) -> None:
        with self._lock:
            self._failing.pop(whose, None)


def standing_of(engine: Engine) -> ReadStanding:
    """The state of an engine's reads; created at the first call."""
    standing: ReadStanding | None = engine.get_execution_options().get(_NAME)
    if standing is None:
        standing = ReadStanding()
        engine.update_execution_options(**{_NAME: standing})
    return standing


Result = TypeVar("Result")


class ReadGuard:
    """A circuit breaker: answers with a fallback while the database cannot be read.

    After a failure nothing is tried for `pause_seconds`; then one caller tries and the others are
    spared, so that of a slow database one request a pause is delayed, and not each of them.

    Attributes:
        fallbacks: how many reads were answered without the database since the start.
    """

    def __init__(
        self,
        pause_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        standing: ReadStanding | None = None,
    ) -> None:
        self.fallbacks = 0
        self._standing = standing or ReadStanding()
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._retry_at = float("-inf")
        self._failing = False

    def read(self, question: Callable[[], Result], fallback: Result) -> Result:
        if self._failing and not self._may_try():
            self._miss()
            return fallback
        try:
            answer = question()
        except DataUnavailable as error:
            self._failed(error)
            return fallback
        if self._failing:
            self._answered()
        return answer

    def _may_try(self) -> bool:
        """True for one caller a pause."""
        with self._lock:
            now = self._clock()
            if now < self._retry_at:
                return False
            self._retry_at = now + self._pause_seconds
            return True

    def _failed(self, error: DataUnavailable) -> None:
        self._miss()
        with self._lock:
            self._retry_at = self._clock() + self._pause_seconds
            was_failing, self._failing = self._failing, True
        self._standing.failed(self, str(error))
        if not was_failing:
            self._log().warning("history_unreadable", reason=str(error))

    def _answered(self) -> None:
        with self._lock:
            was_failing, self._failing = self._failing, False
        self._standing.answered(self)
        if was_failing:
            self._log().info("history_readable_again", fallbacks=self.fallbacks)

    def _miss(self) -> None:
        self.fallbacks += 1
        self._standing.missed()
        tell_missed()

    @staticmethod
    def _log() -> structlog.stdlib.BoundLogger:
        log: structlog.stdlib.BoundLogger = structlog.get_logger()
        return log
