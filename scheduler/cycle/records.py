"""Recording how a run ended; while the database is down the record waits in memory."""

import threading
from collections import deque
from dataclasses import dataclass

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.report import RunReport
from shared.errors import DataUnavailable
from shared.tables.runs import RunStatus, finish, list_runs

ORPHANS_LOOKED_AT = 1_000
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class _Ended:
    run_id: int
    report: RunReport


class RunRecorder:
    """Writes final states, in order, each until it is written."""

    def __init__(self, engine: Engine, log: FilteringBoundLogger) -> None:
        self._engine = engine
        self._log = log
        self._waiting: deque[_Ended] = deque()
        self._lock = threading.Lock()

    def record(self, run_id: int, report: RunReport) -> None:
        """Write the end of a run, now or as soon as the database is back."""
        with self._lock:
            self._waiting.append(_Ended(run_id, report))
        try:
            self.flush()
        except DataUnavailable as error:
            self._log.warning("run_not_recorded_yet", run_id=run_id, reason=str(error))

    def flush(self) -> None:
        """Write what waits.

        Raises:
            DataUnavailable: the database is still down; what was not written keeps waiting.
        """
        with self._lock:
            while self._waiting:
                ended = self._waiting[0]
                report = ended.report
                finish(
                    self._engine,
                    ended.run_id,
                    report.status,
                    report.code,
                    report.message,
                    **report.columns(),
                )
                self._waiting.popleft()

    def end_orphans(self) -> int:
        """Runs an earlier process left RUNNING died with it; returns how many there were.

        Raises:
            DataUnavailable: the database cannot be used now.
        """
        orphans = [
            run
            for run in list_runs(self._engine, ORPHANS_LOOKED_AT)
            if run.status is RunStatus.RUNNING
        ]
        for run in orphans:
            reason = "the scheduler stopped before the run was over"
            finish(self._engine, run.run_id, RunStatus.FAILED, INTERRUPTED, reason)
            self._log.warning("run_ended", run_id=run.run_id, status="FAILED", reason=reason)
        return len(orphans)
