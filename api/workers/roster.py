"""The state of all workers: each reports its own, and a change waits until all have it."""

import time
from dataclasses import dataclass

import structlog

from api.models.promoter import Promoter
from api.workers.run_dir import STATE, RunDir, WorkerReport
from shared.errors import UnderstudyError

_log = structlog.get_logger()

REPORT_SECONDS = 1.0
# Every worker serves a change within two seconds, or is reported as lagging.
CONVERGE_SECONDS = 2.0
_POLL_SECONDS = 0.01
_NOT_RUNNING, _TOO_SLOW = "it is not running", f"it did not follow within {CONVERGE_SECONDS:g} s"

_MAY_COME = (_NOT_RUNNING, _TOO_SLOW)


@dataclass(frozen=True, slots=True)
class LaggingWorker:
    """A worker that does not serve what it should."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers that serve a version, and those that lag behind."""

    serving: int
    total: int
    failed: tuple[LaggingWorker, ...] = ()

    @property
    def partial(self) -> bool:
        return self.serving < self.total


class WorkerRoster:
    """Reports this worker's state, and reads that of the others."""

    def __init__(self, run_dir: RunDir, promoter: Promoter) -> None:
        self._run_dir = run_dir
        self._promoter = promoter

    def catch_up(self) -> None:
        """The registry's files have changed: reload them, and report."""
        self._promoter.catch_up()
        self.report()

    def report(self) -> None:
        """Say how this worker stands."""
        behind = self._promoter.behind
        failed = {} if behind is None else {"version": behind.version, "reason": behind.reason}
        self._run_dir.publish(STATE, {"version": self._promoter.serving, "behind": failed})

    def roll_back(self, version: str, reason: str) -> None:
        """Leave a version that does not work, unless another worker was faster."""
        try:
            self._promoter.rollback(None, reason, "breaker", leaving=version, what="breaker")
        except (UnderstudyError, OSError) as error:
            _log.warning("breaker_rollback_failed", version=version, reason=str(error))
        self.report()

    def leave(self) -> None:
        """This worker ends."""
        self._run_dir.retract(STATE)

    def await_convergence(self, version: str, wait_seconds: float = CONVERGE_SECONDS) -> Workers:
        """Waits for all workers to serve this version or to fail; returns both groups."""
        self.report()
        deadline = time.monotonic() + wait_seconds
        while True:
            found = self._status(version)
            may_come = any(left.reason in _MAY_COME for left in found.failed)
            if not may_come or time.monotonic() >= deadline:
                return found
            time.sleep(_POLL_SECONDS)

    def status(self) -> Workers:
        """Workers that serve the same version as this one, and those that lag behind."""
        return self._status(self._promoter.serving)

    def _status(self, version: str) -> Workers:
        reports = self._run_dir.reports(STATE)
        # Another worker may have changed the live version again.
        reports[self._run_dir.number] = {"version": version, "behind": {}}
        total = self._run_dir.total
        failed = tuple(
            LaggingWorker(number, reason)
            for number in range(total)
            if (reason := _reason(reports.get(number), version)) is not None
        )
        return Workers(total - len(failed), total, failed)


def _reason(told: WorkerReport | None, version: str) -> str | None:
    """The reason a worker does not serve this version; None: it does."""
    if told is None:
        return _NOT_RUNNING
    if told["version"] == version:
        return None
    behind = told["behind"]
    if behind.get("version") == version:
        return str(behind["reason"])
    return _TOO_SLOW
