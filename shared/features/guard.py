"""Go on without the database: a failed read is counted, and the next ones are spared a while."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from shared.errors import DataUnavailable
from shared.tables.read_deadline import tell_missed
from shared.tables.read_standing import ReadStanding

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
