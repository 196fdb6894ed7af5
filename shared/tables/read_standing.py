"""The state of reads of one engine, for health and metrics."""

import threading
import time

from sqlalchemy import Engine

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
