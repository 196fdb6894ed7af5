"""Go on without the database: a failed read is counted, and the next ones are spared a while."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from shared.errors import DataUnavailable

Result = TypeVar("Result")


class ReadGuard:
    """Answers with a fallback while the database cannot be read.

    After a failure nothing is tried for `pause_seconds`, so that a database that times out
    does not make every request wait for it.

    Attributes:
        fallbacks: how many reads were answered without the database since the start.
    """

    def __init__(
        self, pause_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.fallbacks = 0
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._retry_at = float("-inf")
        self._failing = False

    def read(self, question: Callable[[], Result], fallback: Result) -> Result:
        if self._clock() < self._retry_at:
            self.fallbacks += 1
            return fallback
        try:
            answer = question()
        except DataUnavailable as error:
            self._failed(error)
            return fallback
        if self._failing:
            self._failing = False
            self._log().info("history_readable_again", fallbacks=self.fallbacks)
        return answer

    def _failed(self, error: DataUnavailable) -> None:
        self.fallbacks += 1
        self._retry_at = self._clock() + self._pause_seconds
        if not self._failing:
            self._failing = True
            self._log().warning("history_unreadable", reason=str(error))

    @staticmethod
    def _log() -> structlog.stdlib.BoundLogger:
        log: structlog.stdlib.BoundLogger = structlog.get_logger()
        return log
