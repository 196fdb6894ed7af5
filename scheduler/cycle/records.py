"""Recording how a run ended, or that it is tried again; records wait while the database is down.

Jobs that train nothing are carried out here from their claim to their record.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interrupted, Interruption
from scheduler.cycle.report import RunReport
from scheduler.cycle.steps import StepLog, shown_steps
from shared.errors import DataUnavailable
from shared.tables.approvals import hold
from shared.tables.leases import give_back
from shared.tables.runs import Run, RunStatus, finish, get_run

INTERRUPTED = "interrupted"

# transient failures: a retry can succeed with the same data and model
TRANSIENT = frozenset({"data_unavailable", "api_unavailable", "champion_changed", "child_died"})
BACKOFF_FACTOR = 4
Pause = Callable[[Run, RunReport], float | None]


def no_retries(_run: Run, _report: RunReport) -> None:
    """Every end is final."""


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


class Recorder(Protocol):
    """Stores the end of a cycle."""

    def record(self, run: Run, report: RunReport) -> None: ...


@dataclass(frozen=True, slots=True)
class _PendingWrite:
    """Something to be written of a run; False when the run is not ours any more."""

    run_id: int
    write: Callable[[], bool]


class RunRecorder:
    """Writes final states, in order, each until it is written."""

    def __init__(
        self, engine: Engine, log: FilteringBoundLogger, pause: Pause = no_retries
    ) -> None:
        self._engine = engine
        self._log = log
        self._pause = pause
        self._waiting: deque[_PendingWrite] = deque()
        self._lock = threading.Lock()

    @property
    def is_settled(self) -> bool:
        """True if everything has been written."""
        return not self._waiting

    def record(self, run: Run, report: RunReport) -> None:
        """Write the end of a run, or that it will be tried again; now or when that is possible."""
        pause_seconds = self._pause(run, report)
        if pause_seconds is None:
            self._write(run.run_id, lambda: self._finish(run, report))
            return
        message = f"attempt {run.attempts}: {report.message}"
        self._log.warning(
            "run_tried_again",
            run_id=run.run_id,
            code=report.code,
            reason=message,
            pause_seconds=pause_seconds,
        )
        self._write(
            run.run_id,
            lambda: self._give_back(run, report.code, message, pause_seconds, counts=True),
        )

    def give_back(self, run: Run, code: str, message: str) -> None:
        """Release the run for other schedulers to claim at once; the attempt does not count."""
        self._write(run.run_id, lambda: self._give_back(run, code, message, 0.0, counts=False))

    def record_cut_off(self, run: Run, report: RunReport) -> None:
        """Write the end of a run that was ended from outside.

        A push it had announced may have arrived: then the next attempt asks the API.
        """

        def write() -> bool:
            now = get_run(self._engine, run.run_id)
            if now is None or now.candidate_sha256 is None:
                return self._finish(run, report)
            return self._give_back(run, report.code, report.message, 0.0, counts=True)

        self._write(run.run_id, write)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            DataUnavailable: the database is still down; what was not written keeps waiting.
        """
        with self._lock:
            while self._waiting:
                record = self._waiting[0]
                if not record.write():
                    self._log.info("run_settled_elsewhere", run_id=record.run_id)
                self._waiting.popleft()

    def _write(self, run_id: int, write: Callable[[], bool]) -> None:
        with self._lock:
            self._waiting.append(_PendingWrite(run_id, write))
        try:
            self.flush()
        except DataUnavailable as error:
            self._log.warning("run_not_recorded_yet", run_id=run_id, reason=str(error))

    def _finish(self, run: Run, report: RunReport) -> bool:
        if report.approval is not None:
            # column names of the report -> column names of the table
            columns = {name.replace("_", ""): value for name, value in report.columns().items()}
            number = run.fencing_number or 0
            columns["statusmessage"] = report.message
            return hold(self._engine, run.run_id, number, report.approval, columns)
        return finish(
            self._engine,
            run.run_id,
            report.status,
            report.code,
            report.message,
            fencing_number=run.fencing_number,
            **report.columns(),
        )

    def _give_back(
        self, run: Run, code: str, message: str, delay_seconds: float, *, counts: bool
    ) -> bool:
        return give_back(
            self._engine,
            run.run_id,
            run.fencing_number or 0,
            code,
            message,
            delay_seconds=delay_seconds,
            counts=counts,
        )


RunWork = Callable[[StepLog, RunReport], None]
"""Does the work and ends the report; may raise only what every job may raise."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """Carries out the work of a claimed run, shows its steps and records how it ended."""

    run: Run
    engine: Engine
    recorder: Recorder
    interruption: Interruption
    log: FilteringBoundLogger

    def carry_out(self, work: RunWork) -> RunReport:
        """Carries out a run and records its end; errors end the run as failed, none is raised."""
        run, report = self.run, RunReport()
        with structlog.contextvars.bound_contextvars(run_id=run.run_id):
            self.log.info("run_started", job=run.job, requested_by=run.requested_by)
            steps = StepLog(self.log, self.interruption, shown_steps(self.engine, run))
            self._guarded(work, steps, report)
            report.steps = steps.records
            self.recorder.record(run, report)
            self.log.info(
                "run_ended",
                status=report.status.value,
                code=report.code,
                reason=report.message,
                champion=report.champion_version,
            )
        return report

    def _guarded(self, work: RunWork, steps: StepLog, report: RunReport) -> None:
        try:
            work(steps, report)
        except Interrupted as error:
            report.end(RunStatus.FAILED, INTERRUPTED, str(error) or "interrupted")
        except DataUnavailable as error:
            report.end(RunStatus.FAILED, "data_unavailable", str(error))
        except Exception as error:
            self.log.exception("run_crashed")
            report.end(RunStatus.FAILED, "error", str(error) or type(error).__name__)
