"""The job `drift`: one look a day, and a retraining asked for when it finds something."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interrupted, Interruption
from scheduler.cycle.records import INTERRUPTED, Recorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.served_bundle import ServedBundles
from scheduler.cycle.steps import StepLog, shown_steps
from scheduler.drift.alarm import Response, respond
from scheduler.drift.champion_baseline import NotChecked, baseline_of_champion
from scheduler.drift.finding import DriftFinding, look
from scheduler.drift.live import DriftWindow
from scheduler.drift.record import to_json
from scheduler.drift.reports import DriftReports
from scheduler.drift.sentence import answer
from scheduler.drift.stored import REQUESTED_BY, read_retrainings
from scheduler.schedule.jobs import RETRAINING
from scheduler.scoring_api import ApiUnavailable, ScoringApi
from shared.clock import MICROS_PER_DAY, Clock
from shared.errors import DataUnavailable
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
        context, report = self._context, RunReport()
        with structlog.contextvars.bound_contextvars(run_id=run.run_id):
            context.log.info("run_started", job=run.job, requested_by=run.requested_by)
            steps = StepLog(context.log, context.interruption, shown_steps(context.engine, run))
            self._guarded(lambda: self._check(run, steps, report), report)
            report.steps = steps.records
            self._recorder.record(run, report)
            context.log.info(
                "run_ended",
                status=report.status.value,
                code=report.code,
                reason=report.message,
                champion=report.champion_version,
            )
        return report

    def _guarded(self, check: Callable[[], None], report: RunReport) -> None:
        try:
            check()
        except NotChecked as error:
            report.end(RunStatus.SKIPPED, NOT_CHECKED, f"Not known: {error}.")
        except Interrupted as error:
            report.end(RunStatus.FAILED, INTERRUPTED, str(error) or "interrupted")
        except ApiUnavailable as error:
            report.end(RunStatus.FAILED, "api_unavailable", str(error))
        except DataUnavailable as error:
            report.end(RunStatus.FAILED, "data_unavailable", str(error))
        except Exception as error:
            self._context.log.exception("run_broke")
            report.end(RunStatus.FAILED, "error", str(error) or type(error).__name__)

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
