"""The worker: claims requested runs of any origin, and has one run at a time carried out."""

from collections.abc import Mapping

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.records import RunRecorder
from scheduler.cycle.report import RunReport
from scheduler.schedule.jobs import JobRunner
from scheduler.schedule.outage_log import OutageLog
from shared.errors import DataUnavailable
from shared.tables.leases import CANCELLED
from shared.tables.runs import EVERY_JOB, JobChoice, Run, RunStatus, claim_next


class Worker:
    """Looks for requested runs, and for those whose scheduler died, every second or so."""

    def __init__(
        self,
        *,
        engine: Engine,
        runners: Mapping[str, JobRunner],
        recorder: RunRecorder,
        owner: str,
        lease_seconds: float,
        attempts: int,
        log: FilteringBoundLogger,
        jobs: JobChoice = EVERY_JOB,
    ) -> None:
        self._engine = engine
        self._runners = runners
        self._recorder = recorder
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._attempts = attempts
        self._jobs = jobs
        self._log = log
        self._database = OutageLog("run_queue", log)
        self._running: Run | None = None

    @property
    def running(self) -> Run | None:
        """The run in progress here, if any."""
        return self._running

    def tick(self) -> None:
        try:
            self._recorder.flush()
            run = claim_next(self._engine, self._owner, self._lease_seconds, self._jobs)
        except DataUnavailable as error:
            self._database.away(error)
            return
        self._database.back()
        if run is not None:
            self._execute(run)

    def _execute(self, run: Run) -> None:
        run_fields = {"run_id": run.run_id, "job": run.job, "attempt": run.attempts}
        self._log.info("run_claimed", fencing_number=run.fencing_number, **run_fields)
        refusal = self._refusal(run)
        if refusal is not None:
            self._recorder.record(run, refusal)
            self._log.warning(
                "run_ended", status=refusal.status, reason=refusal.message, **run_fields
            )
            return
        self._running = run
        try:
            self._runners[run.job].execute(run)
        finally:
            self._running = None

    def _refusal(self, run: Run) -> RunReport | None:
        """The reason this run is not started, or None."""
        report = RunReport()
        if run.cancel_requested_by is not None and run.candidate_sha256 is None:
            report.end(RunStatus.SKIPPED, CANCELLED, f"cancelled by {run.cancel_requested_by}")
        elif run.job not in self._runners:
            report.end(RunStatus.FAILED, "unknown_job", f"no runner exists for {run.job!r}")
        elif run.attempts > self._attempts:
            reason = f"started {self._attempts} times and never finished"
            report.end(RunStatus.FAILED, "attempts_used_up", reason)
        else:
            return None
        return report
