"""Resource limits of a run, and its retry policy."""

from dataclasses import dataclass

from scheduler.cycle.report import RunReport
from shared.tables.runs import Run, RunStatus

# transient failures: a retry can succeed with the same data and model
TRANSIENT = frozenset({"data_unavailable", "api_unavailable", "champion_changed", "child_died"})
BACKOFF_FACTOR = 4


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Resource limits of a child process; `stop_seconds` is its time to end after a request."""

    time_seconds: float
    memory_bytes: int
    stop_seconds: float


@dataclass(frozen=True, slots=True)
class Retries:
    """`attempts` in all, with ever longer pauses in between."""

    attempts: int
    first_pause_seconds: float

    def pause_seconds(self, run: Run, report: RunReport) -> float | None:
        """The delay before the next attempt; None when no attempt remains."""
        is_transient = report.status is RunStatus.FAILED and report.code in TRANSIENT
        if not is_transient or run.attempts >= self.attempts:
            return None
        pause_seconds: float = self.first_pause_seconds * BACKOFF_FACTOR ** (run.attempts - 1)
        return pause_seconds
