"""The worker: claims what was requested, by whomever, and has one run at a time carried out."""

from collections.abc import Mapping

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.records import RunRecorder
from scheduler.cycle.report import RunReport
from scheduler.schedule.jobs import RETRAINING, JobRunner
from scheduler.schedule.outage import Outage
from scheduler.schedule.watcher import ScheduleWatcher
from shared.clock import Clock
from shared.errors import DataUnavailable
from shared.tables.runs import Run, RunStatus, claim_next


class Worker:
    """Looks for requested runs every second or so."""

    def __init__(
        self,
        *,
        engine: Engine,
        runners: Mapping[str, JobRunner],
        recorder: RunRecorder,
        watcher: ScheduleWatcher,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._engine = engine
        self._runners = runners
        self._recorder = recorder
        self._watcher = watcher
        self._clock = clock
        self._database = Outage("run_queue", log)
        self._running: Run | None = None
        self._cleaned_up = False

    @property
    def running(self) -> Run | None:
        """The run in progress, if any."""
        return self._running

    def tick(self) -> None:
        try:
            run = self._claim()
        except DataUnavailable as error:
            self._database.away(error)
            return
        self._database.back()
        if run is not None:
            self._execute(run)

    def _claim(self) -> Run | None:
        if not self._cleaned_up:
            self._recorder.end_orphans()
            self._cleaned_up = True
        self._recorder.flush()
        return claim_next(self._engine)

    def _execute(self, run: Run) -> None:
        runner = self._runners.get(run.job)
        if runner is None:
            report = RunReport()
            report.end(RunStatus.FAILED, "unknown_job", f"nothing here carries out {run.job!r}")
            self._recorder.record(run.run_id, report)
            return
        self._running = run
        if run.job == RETRAINING:
            self._watcher.ran(self._clock.now_us())
        try:
            runner.execute(run)
        finally:
            self._running = None
