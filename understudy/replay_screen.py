"""What a person sees of a replay: a line a round while it runs, two tables when it is over."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from scheduler.replay.page import PageData
from scheduler.replay.plan import Span
from scheduler.replay.policies import Policy
from scheduler.replay.record import Round
from scheduler.replay.summary import describe, judged, summarize, verdict
from shared.clock import to_datetime

METRICS_SHOWN = 5
NOTHING = "-"


class Screen:
    """Implements `scheduler.replay.replay.Watcher`: a line a round, and a bar on a terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )  # fmt: skip
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=None)
        self._done = self._total = 0
        self.folder = Path()

    def __enter__(self) -> "Screen":
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

    def step(self, span: Span, what: str) -> None:
        self._bar.update(self._task, description=f"{_day(span)} {what}")

    def ended(self, record: Round) -> None:
        self._done += 1
        self._bar.advance(self._task)
        self._say(f"{_day(record.span)} {outcome(record)}: {record.reason}")

    def stopped(self) -> str:
        """What to say when it was interrupted."""
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


def _rounds(data: PageData) -> Table:
    table = Table(title=f"{data.metric} until the next round", title_justify="left")
    table.add_column("as of", no_wrap=True)
    table.add_column("candidate", no_wrap=True)
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


def _policies(data: PageData) -> Table:
    summaries = summarize(data.rounds)
    names = list(summaries[0].means)
    names = [data.metric, *(name for name in names if name != data.metric)][:METRICS_SHOWN]
    table = Table("policy", title="means over the rounds compared", title_justify="left")
    table.add_column("promotions", justify="right")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for each in summaries:
        means = [each.means[name].value if name in each.means else None for name in names]
        table.add_row(each.policy.value, str(each.promotions), *map(_number, means))
    return table


def _published(data: PageData) -> Table:
    published = data.published
    table = Table("model", title="the protocol's test weeks", title_justify="left")
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


def _day(span: Span) -> str:
    moment = to_datetime(span.as_of_us)
    return f"{moment:%Y-%m-%d}" if moment.hour == moment.minute == 0 else f"{moment:%Y-%m-%d %H:%M}"


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"
