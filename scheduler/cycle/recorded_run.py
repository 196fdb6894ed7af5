"""A run of a job that trains nothing, from its claim to its record."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interrupted, Interruption
from scheduler.cycle.records import INTERRUPTED, Recorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.steps import StepLog, shown_steps
from shared.errors import DataUnavailable
from shared.tables.runs import Run, RunStatus

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
