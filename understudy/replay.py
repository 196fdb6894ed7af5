"""`understudy replay`: reads what was asked, shows the rounds as they end, writes the reports."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

import usecases
from scheduler.replay.history import connect_read_only, newest_event_us
from scheduler.replay.page import PageData
from scheduler.replay.plan import Policy, ReplayImpossible, ReplaySpan, plan_spans
from scheduler.replay.protocol import Published, handbook
from scheduler.replay.record import Asked, Round
from scheduler.replay.replay import replay
from scheduler.replay.report import (
    CSV,
    PAGE,
    ReplayReport,
    ReplayTerms,
    usual_metric,
    write_report,
)
from scheduler.replay.summary import describe, judged, summarize, verdict
from scheduler.runners import tasks_of
from scheduler.settings import SchedulerSettings, load_settings
from shared.clock import SystemClock, to_datetime
from shared.contracts.runs import instant_us
from shared.intervals import Interval
from shared.usecase.learning import LearningUseCase
from understudy.terminal import DataTable, console, errors

# The Fraud Detection Handbook's published results for its protocol.

HANDBOOK = Published(
    source=(
        "Le Borgne, Siblini, Lebichot, Bontempi: Reproducible Machine Learning for Credit Card "
        "Fraud Detection; means of four weekly folds, trained from 2018-07-25 to 2018-08-15 on"
    ),
    metrics=("auc", "average_precision", "card_precision_100"),
    rows={
        "decision tree, depth 2": (0.792, 0.542, 0.265),
        "logistic regression": (0.868, 0.623, 0.297),
        "random forest, 100 trees, depth 20": (0.870, 0.678, 0.299),
        "XGBoost": (0.869, 0.687, 0.303),
        "feed-forward network": (0.876, 0.675, 0.303),
        "LSTM with attention": (0.874, 0.667, 0.295),
    },
)


# The terminal output of a replay: a line a round while it runs, two tables at the end.

METRICS_SHOWN = 5
NOTHING = "-"


class ReplayScreen:
    """Implements `scheduler.replay.replay.Watcher`: a line a round, and a bar on a terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )  # fmt: skip
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=None)
        self._done = self._total = 0
        self.folder = Path()

    def __enter__(self) -> "ReplayScreen":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def reading(self) -> None:
        self._bar.update(self._task, description="reading the history and its features")

    def planned(self, folder: Path, finished: Sequence[Round], total: int) -> None:
        self.folder, self._done, self._total = folder, len(finished), total
        self._bar.update(self._task, completed=len(finished), total=total)
        if finished:
            self._say(f"{len(finished)} of {total} rounds were finished earlier")

    def step(self, span: ReplaySpan, what: str) -> None:
        self._bar.update(self._task, description=f"{_day(span)} {what}")

    def ended(self, record: Round) -> None:
        self._done += 1
        self._bar.advance(self._task)
        self._say(f"{_day(record.span)} {outcome(record)}: {record.reason}")

    def stopped(self) -> str:
        """The message after an interruption."""
        if not self._total:
            return "stopped before the first round"
        return (
            f"stopped: {self._done} of {self._total} rounds are finished and kept; "
            "the same command goes on from there"
        )

    def _say(self, line: str) -> None:
        line = f"{self._done}/{self._total}  {line}"
        self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


def show(console: Console, data: PageData) -> None:
    """The rounds, the policies, and one sentence."""
    console.print(_rounds(data), _policies(data))
    if data.published:
        console.print(_published(data))
    console.print(verdict(data.rounds, data.metric), soft_wrap=True)


def outcome(record: Round) -> str:
    """One word and the version."""
    word = "promoted" if record.outcome.promoted else record.status.lower()
    return f"{word} {record.candidate or ''}".strip()


def _rounds(data: PageData) -> DataTable:
    table = DataTable(
        title=f"{data.metric} until the next round", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("as of", min_width=len("2026-01-01"))
    table.add_column("candidate", min_width=len("promoted 1.0.0"))
    for policy in Policy:
        table.add_column(policy.value, justify="right")
    table.add_column("positives", justify="right")
    table.add_column("drift")
    table.add_column("why", style="dim", ratio=1)
    for record in data.rounds:
        values = [_number(record.scored(policy).get(data.metric)) for policy in Policy]
        colour = "green" if record.outcome.promoted else ""
        table.add_row(
            _day(record.span), outcome(record), *values, str(record.positives),
            "alarm" if record.drifted else "", _short(record), style=colour,
        )  # fmt: skip
    return table


def _policies(data: PageData) -> DataTable:
    summaries = summarize(data.rounds)
    names = list(summaries[0].means)
    names = [data.metric, *(name for name in names if name != data.metric)][:METRICS_SHOWN]
    table = DataTable("policy", title="means over the rounds compared", title_justify="left")
    table.add_column("promotions", justify="right")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for each in summaries:
        means = [each.means[name].value if name in each.means else None for name in names]
        table.add_row(each.policy.value, str(each.promotions), *map(_number, means))
    return table


def _published(data: PageData) -> DataTable:
    published = data.published
    table = DataTable("model", title="the protocol's test weeks", title_justify="left")
    if published is None:
        return table
    for name in published.metrics:
        table.add_column(name.replace("_", " "), justify="right")
    for model, values in published.rows.items():
        table.add_row(f"{model}, published", *(f"{value:.3f}" for value in values), style="dim")
    found = judged(data.rounds)
    means = [describe(found.get(name, ())) for name in published.metrics]
    table.add_row("this system's candidates", *(_number(mean.value) for mean in means))
    table.add_row("  standard deviation", *(_number(mean.spread) for mean in means), style="dim")
    return table


def _short(record: Round) -> str:
    return record.reason if not record.outcome.promoted else str(record.run["statuscode"])


def _day(span: ReplaySpan) -> str:
    moment = to_datetime(span.as_of_us)
    return f"{moment:%Y-%m-%d}" if moment.hour == moment.minute == 0 else f"{moment:%Y-%m-%d %H:%M}"


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


STOPPED = 130
"""A shell's exit status of a process that Ctrl-C ended."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The options as they were typed; `metric` is empty where none was."""

    begin: str
    end: str | None
    every: str
    metric: str
    is_handbook: bool
    work: Path
    pages: bool
    as_json: bool


def replay_history(request: ReplayOptions) -> int:
    """Replay and report; returns the exit status.

    Raises:
        ReplayImpossible: what was asked for makes no sense, or there is no history for it.
        DataUnavailable: the history cannot be read.
    """
    settings = load_settings()
    interval = _interval(request.every)
    begin_us = _instant("--from", request.begin)
    engine = connect_read_only(settings.database_url.get_secret_value())
    screen = ReplayScreen(errors)
    try:
        use_case: LearningUseCase = usecases.load_learning(settings.use_case)
        end_us = _instant("--to", request.end) if request.end else newest_event_us(use_case, engine)
        spans = plan_spans(interval, begin_us, end_us)
        asked = _asked(request, settings, use_case, engine, spans)
        with screen, tasks_of(settings):
            rounds = replay(asked, screen)
    except KeyboardInterrupt:
        errors.print(screen.stopped(), style="yellow", highlight=False)
        return STOPPED
    finally:
        engine.dispose()
    terms = ReplayTerms(
        request.begin,
        request.end,
        request.every,
        request.metric or usual_metric(use_case),
        published=HANDBOOK if request.is_handbook else None,
    )
    _show(request, write_report(terms, asked, rounds, screen.folder))
    return 0


def _asked(
    request: ReplayOptions,
    settings: SchedulerSettings,
    use_case: LearningUseCase,
    engine: Engine,
    spans: tuple[ReplaySpan, ...],
) -> Asked:
    return Asked(
        use_case=handbook(use_case) if request.is_handbook else use_case,
        history=engine,
        spans=spans,
        known_us=SystemClock().now_us(),
        work=request.work,
        seed=settings.training_seed,
        latency_budget_ms=settings.latency_budget_ms,
        pages=request.pages,
        settings=(request.is_handbook,),
    )


def _show(request: ReplayOptions, report: ReplayReport) -> None:
    if request.as_json:
        sys.stdout.write(json.dumps(report.summary) + "\n")
        return
    show(console, report.page)
    for name in (PAGE, CSV):
        console.print(str(report.folder / name), highlight=False, soft_wrap=True)


def _interval(text: str) -> Interval:
    try:
        return Interval.parse(text)
    except ValueError as error:
        raise ReplayImpossible(f"--every: {error}") from error


def _instant(option: str, text: str) -> int:
    """A day, or an instant; without a zone it is UTC."""
    try:
        return instant_us(text)
    except ValueError as error:
        raise ReplayImpossible(f"{option}: {error}") from error
