"""The job `replay`: plays what a person asked for, round after round, and writes its report.

It reads the database and changes nothing in it but its own run, whose steps are the rounds. Rounds
that were finished before a stop, or by an earlier run, are not played again.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RecordedRun, Recorder
from scheduler.cycle.report import RunReport
from scheduler.cycle.steps import Note, StepLog
from scheduler.replay.history import connect_read_only, newest_event_us
from scheduler.replay.plan import ReplayImpossible, ReplaySpan, plan_spans
from scheduler.replay.record import Asked, Round
from scheduler.replay.replay import replay
from scheduler.replay.report import ReplayReport, ReplayTerms, usual_metric, write_report
from shared.clock import Clock, isoformat
from shared.contracts.runs import MAX_ROUNDS, ReplayArguments, instant_us
from shared.intervals import Interval
from shared.tables.runs import Run, RunStatus
from shared.usecase.learning import LearningUseCase

REPLAYED, IMPOSSIBLE = "replayed", "replay_impossible"
READING, ROUND = "read_history", "round"


@dataclass(frozen=True, slots=True)
class ReplayContext:
    """The collaborators and settings of a replay."""

    use_case: LearningUseCase
    engine: Engine
    database_url: str
    folder: Path
    seed: int
    latency_budget_ms: float
    clock: Clock
    interruption: Interruption
    log: FilteringBoundLogger


class ReplayRunner:
    """Carries out claimed runs of the job."""

    def __init__(self, context: ReplayContext, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder

    def execute(self, run: Run) -> RunReport:
        """Play what the run asks for; never raises."""
        context = self._context
        recorded = RecordedRun(
            run, context.engine, self._recorder, context.interruption, context.log
        )

        def work(steps: StepLog, report: RunReport) -> None:
            try:
                self._play(run, steps, report)
            except ValidationError as error:
                report.end(RunStatus.FAILED, IMPOSSIBLE, f"its arguments: {_first(error)}")
            except ReplayImpossible as error:
                report.end(RunStatus.FAILED, IMPOSSIBLE, str(error))
            except OSError as error:
                told = f"REPLAY_DIR: {context.folder} accepts no files: {error.strerror}"
                report.end(RunStatus.FAILED, "replay_dir", told)

        return recorded.carry_out(work)

    def _play(self, run: Run, steps: StepLog, report: RunReport) -> None:
        context, wanted = self._context, ReplayArguments.model_validate(run.arguments or {})
        terms = ReplayTerms(
            wanted.begin, wanted.end, wanted.every, wanted.metric or usual_metric(context.use_case)
        )
        history = connect_read_only(context.database_url)
        watcher = RoundSteps(steps, context.interruption)
        try:
            asked = self._asked(wanted, history)
            with watcher:
                rounds = replay(asked, watcher)
        finally:
            history.dispose()
        _conclude(report, write_report(terms, asked, rounds, watcher.folder))

    def _asked(self, wanted: ReplayArguments, history: Engine) -> Asked:
        context = self._context
        begin_us = instant_us(wanted.begin)
        end_us = (
            newest_event_us(context.use_case, history)
            if wanted.end is None
            else instant_us(wanted.end)
        )
        spans = plan_spans(Interval.parse(wanted.every), begin_us, end_us, MAX_ROUNDS)
        return Asked(
            use_case=context.use_case,
            history=history,
            spans=spans,
            known_us=context.clock.now_us(),
            work=context.folder,
            seed=context.seed,
            latency_budget_ms=context.latency_budget_ms,
            # as `understudy replay` without --protocol, so that both resume the same rounds
            settings=(False,),
        )


def _conclude(report: RunReport, made: ReplayReport) -> None:
    summary = made.summary
    report.data_size = sum(record.rows for record in made.page.rounds)
    report.metrics = {
        "replay": made.folder.name,
        "rounds": summary["rounds"],
        "promoted": summary["promoted"],
    }
    report.end(RunStatus.SUCCEEDED, REPLAYED, str(summary["verdict"]))


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


class RoundSteps:
    """Implements `scheduler.replay.record.Watcher`: a step of the run for each round."""

    def __init__(self, steps: StepLog, interruption: Interruption) -> None:
        self._steps = steps
        self._interruption = interruption
        self._open = ExitStack()
        self._note = Note()
        self._span: ReplaySpan | None = None
        self._total = 0
        self.folder = Path()

    def __enter__(self) -> "RoundSteps":
        return self

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        # records the step in progress as failed, with this exception
        self._open.__exit__(type(error) if error else None, error, None)

    def reading(self) -> None:
        self._begin(READING)

    def planned(self, folder: Path, finished: Sequence[Round], total: int) -> None:
        self.folder, self._total = folder, total
        self._note.details = {"rounds": total, "finished_earlier": len(finished)}
        self._open.close()

    def step(self, span: ReplaySpan, what: str) -> None:  # noqa: ARG002 - a round is one step here
        self._interruption.raise_if_requested()
        if span is not self._span:
            self._span = span
            self._begin(ROUND, self._of(span))

    def ended(self, record: Round) -> None:
        promoted = {"promoted": record.outcome.promoted, "reason": record.reason}
        self._note.rows, self._note.details = record.rows, {**self._of(record.span), **promoted}
        self._open.close()

    def _of(self, span: ReplaySpan) -> dict[str, object]:
        return {"number": span.number, "of": self._total, "as_of": isoformat(span.as_of_us)}

    def _begin(self, name: str, shown: dict[str, object] | None = None) -> None:
        self._note = self._open.enter_context(self._steps.step(name, shown or {}))
