"""Runs a cycle so that it always ends in a final state, whatever happens inside."""

import structlog

from scheduler.cycle.approval import correct_page, promote_approved
from scheduler.cycle.as_of import resolve_as_of
from scheduler.cycle.candidate_page import write_candidate_page
from scheduler.cycle.context import CycleContext
from scheduler.cycle.examples import NotEnoughHistory
from scheduler.cycle.interruption import Interrupted
from scheduler.cycle.learn import learn
from scheduler.cycle.promotion import ChampionChanged, LeaseLost, is_promoted_already
from scheduler.cycle.records import INTERRUPTED, Recorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.run import CycleRun
from scheduler.cycle.steps import UNKNOWN, StepLog, shown_steps
from scheduler.decision import to_json
from scheduler.scoring_api import ApiUnavailable
from scheduler.tracked_run import tracked_run
from shared.bundle.version import Version
from shared.clock import isoformat
from shared.errors import BundleError, DataUnavailable, ModelLoadError, TrainingFailed
from shared.execution.executor import TaskFailed
from shared.run_progress import UsualSeconds, usual_seconds
from shared.tables.engine import database_errors
from shared.tables.runs import Run, RunStatus

CODES: dict[type[Exception], str] = {
    Interrupted: INTERRUPTED,
    NotEnoughHistory: "not_enough_history",
    LeaseLost: "lease_lost",
    ChampionChanged: "champion_changed",
    DataUnavailable: "data_unavailable",
    TrainingFailed: "training_failed",
    TaskFailed: "task_failed",
    ApiUnavailable: "api_unavailable",
    ModelLoadError: "candidate_unusable",
    BundleError: "candidate_unusable",
}


class CycleRunner:
    """Executes claimed runs, one at a time."""

    def __init__(self, context: CycleContext, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder

    def execute(self, run: Run) -> RunReport:
        """One cycle from claim to record; never raises."""
        context = self._context
        report = RunReport()
        with structlog.contextvars.bound_contextvars(run_id=run.run_id):
            context.log.info("run_started", job=run.job, requested_by=run.requested_by)
            steps = StepLog(
                context.log,
                context.interruption,
                shown_steps(context.engine, run),
                usual=self._usual_seconds(),
            )
            cycle = self._begin(run, steps, report)
            if cycle is not None:
                self._learn(cycle)
                self._write_page(cycle, run)
            report.steps = steps.records
            self._keep_verdicts(run, report)
            self._recorder.record(run, report)
            if cycle is not None and report.status is not RunStatus.AWAITING:
                self._track(run, cycle)
            if context.step_cache is not None:
                context.step_cache.prune()
            context.log.info(
                "run_ended",
                status=report.status.value,
                code=report.code,
                reason=report.message,
                version=report.model_version,
                champion=report.champion_version,
            )
        return report

    def _usual_seconds(self) -> UsualSeconds:
        engine = self._context.engine
        try:
            with database_errors("read the last run"), engine.connect() as connection:
                return usual_seconds(connection)
        except DataUnavailable:
            return UNKNOWN

    def _begin(self, run: Run, steps: StepLog, report: RunReport) -> CycleRun | None:
        """The run's reference instant; None where it is unknown, and the report says why."""
        context, began_us = self._context, self._began_us(run)
        try:
            as_of = resolve_as_of(
                context.train_as_of,
                lambda: context.use_case.newest_row_us(context.engine),
                began_us,
            )
        except DataUnavailable as error:
            report.end(RunStatus.FAILED, CODES[DataUnavailable], str(error))
            return None
        if as_of.is_declared:
            context.log.info("training_as_of", as_of=isoformat(as_of.as_of_us))
        return CycleRun(context, steps, report, as_of, claim=run)

    def _began_us(self, run: Run) -> int:
        """The start of the run: now, or of a resumed run the first attempt's start."""
        now_us = self._context.clock.now_us()
        step_cache = self._context.step_cache
        return now_us if step_cache is None else step_cache.as_of_us(run, now_us)

    def _write_page(self, cycle: CycleRun, run: Run) -> None:
        """The candidate's page; of one that a person has approved, the page says how that ended."""
        if cycle.artifacts.approved is None:
            write_candidate_page(cycle, run.run_id)
        else:
            correct_page(self._context.candidates, cycle.report, self._context.log)

    def _learn(self, run: CycleRun) -> None:
        try:
            if is_promoted_already(run):
                return
            approval = None if run.claim is None else run.context.approvals.given(run.claim)
            if approval is None:
                learn(run)
            else:
                promote_approved(run, approval)
        except Exception as error:
            is_stopping = self._context.interruption.requested
            code = INTERRUPTED if is_stopping else _code(error)
            if code in {"error", "task_failed"}:
                self._context.log.exception("run_crashed")
            run.report.end(RunStatus.FAILED, code, str(error) or type(error).__name__)

    def _track(self, run: Run, cycle: CycleRun) -> None:
        """Tell the tracker; the run is recorded already, whatever comes of this."""
        context, report, sealed = self._context, cycle.report, cycle.artifacts.sealed
        folder = None
        if report.model_version is not None:
            folder = context.candidates.folder(Version.parse(report.model_version))
        bundle = cycle.artifacts.approved if sealed is None else sealed.bundle
        manifest = None if bundle is None else bundle.manifest
        context.tracker.track(
            tracked_run(run.run_id, context.use_case.name, report, manifest, folder)
        )

    def _keep_verdicts(self, run: Run, report: RunReport) -> None:
        """Lay the verdicts beside the candidate, and clear out the oldest candidates."""
        if report.model_version is None or report.decision is None:
            return
        version = Version.parse(report.model_version)
        try:
            record = {
                "run_id": run.run_id,
                "status": report.status.value,
                "metrics": report.metrics,
                "decision": to_json(report.decision),
            }
            self._context.candidates.save_verdicts(version, record)
            self._prune(version, report)
        except OSError as error:
            self._context.log.warning("candidate_not_kept", reason=str(error))

    def _prune(self, version: Version, report: RunReport) -> None:
        """Deletes old candidates, except this one and the live version."""
        champion = {Version.parse(report.champion_version)} if report.champion_version else set()
        try:
            waiting = self._context.approvals.waiting_versions()
        except DataUnavailable:
            return  # the next run prunes
        deleted = self._context.candidates.prune(frozenset({version} | champion | waiting))
        if deleted:
            self._context.log.info("candidates_deleted", versions=[str(item) for item in deleted])


def _code(error: Exception) -> str:
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), "error")
