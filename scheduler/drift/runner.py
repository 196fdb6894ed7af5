"""The job `drift`: one look a day, and a retraining asked for when it finds something."""

from dataclasses import dataclass

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.champion import ServedBundles
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RecordedRun, Recorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.steps import StepLog
from scheduler.drift.alarm import Response, respond
from scheduler.drift.baseline import NotChecked, baseline_of_champion
from scheduler.drift.finding import DriftFinding, look
from scheduler.drift.live import DriftWindow
from scheduler.drift.page import DriftReports
from scheduler.drift.record import answer, to_json
from scheduler.run_history import REQUESTED_BY, read_retrainings
from scheduler.schedule.jobs import RETRAINING
from scheduler.scoring_api import ApiUnavailable, ScoringApi
from shared.clock import MICROS_PER_DAY, Clock
from shared.tables.runs import Run, RunStatus, request_unless_unfinished
from shared.usecase.learning import LearningUseCase

DRIFTED, NO_DRIFT, NOT_CHECKED = "drift", "no_drift", "not_checked"


@dataclass(frozen=True, slots=True)
class DriftContext:
    """The collaborators and settings of a drift check.

    Attributes:
        window_days: length of the compared window, which ends now.
        cooldown_days: after a retraining was requested, no other is requested for this long.
    """

    use_case: LearningUseCase
    engine: Engine
    clock: Clock
    api: ScoringApi
    served: ServedBundles
    reports: DriftReports
    interruption: Interruption
    log: FilteringBoundLogger
    window_days: float = 7.0
    cooldown_days: float = 7.0


class DriftRunner:
    """Carries out claimed runs of the job; it promotes nothing and trains nothing."""

    def __init__(self, context: DriftContext, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder

    def execute(self, run: Run) -> RunReport:
        """One check from claim to record; never raises."""
        context = self._context
        recorded = RecordedRun(
            run, context.engine, self._recorder, context.interruption, context.log
        )
        return recorded.carry_out(lambda steps, report: self._work(run, steps, report))

    def _work(self, run: Run, steps: StepLog, report: RunReport) -> None:
        try:
            self._check(run, steps, report)
        except NotChecked as error:
            report.end(RunStatus.SKIPPED, NOT_CHECKED, f"Not known: {error}.")
        except ApiUnavailable as error:
            report.end(RunStatus.FAILED, "api_unavailable", str(error))

    def _check(self, run: Run, steps: StepLog, report: RunReport) -> None:
        context, now_us = self._context, self._context.clock.now_us()
        with steps.step("champion") as note:
            champion = baseline_of_champion(context.served)
            version = champion.manifest.version
            report.champion_version = note.details["version"] = version
        window = DriftWindow(now_us - round(context.window_days * MICROS_PER_DAY), now_us, now_us)
        with steps.step("compare") as note:
            finding = look(context.engine, context.use_case, champion, window)
            report.data_size = note.rows = finding.report.rows
            note.result = DRIFTED if finding.report.drifted else NO_DRIFT
        with steps.step("respond") as note:
            response, retraining = self._respond(finding, now_us)
            note.details["reason"] = response.reason
        sentence = answer(finding, response, retraining)
        with steps.step("report"):
            page = context.reports.save(run.run_id, context.use_case.name, finding, sentence)
        report.metrics = to_json(finding) | {
            "answer": sentence,
            "retraining_run": retraining,
            "reason": response.reason,
            "page": page,
        }
        code = DRIFTED if finding.report.drifted else NO_DRIFT
        report.end(RunStatus.SUCCEEDED, code, sentence)

    def _respond(self, finding: DriftFinding, now_us: int) -> tuple[Response, int | None]:
        """Ask for a retraining if that is due; returns its number."""
        context, drift = self._context, finding.report
        known = read_retrainings(context.engine)
        response = respond(drift, now_us, known, context.cooldown_days)
        asked = None
        if response.starts_run:
            asked = request_unless_unfinished(context.engine, RETRAINING, now_us, REQUESTED_BY)
        if drift.drifted:
            context.log.warning(
                "drift_alarm",
                columns={column.name: round(column.effect, 4) for column in drift.alarms},
                champion=finding.champion,
                rows=drift.rows,
                retraining_run=asked,
                reason=response.reason,
            )
        return response, asked
