"""A bench for replays."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scheduler.replay.plan import ReplaySpan, plan_spans
from scheduler.replay.record import Asked, Round
from scheduler.replay.replay import replay
from shared.intervals import Interval
from tests.scheduler.replay.chronicle import START_US, WEEK_US


@dataclass
class Notebook:
    """A watcher that writes everything down."""

    found: int = 0
    played: list[int] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    folder: Path = Path()

    def reading(self) -> None:
        self.steps.append("reading")

    def planned(self, folder: Path, finished: Sequence[Round], total: int) -> None:
        self.found, self.folder = len(finished), folder

    def step(self, span: ReplaySpan, what: str) -> None:
        self.steps.append(what)

    def ended(self, record: Round) -> None:
        self.played.append(record.span.number)


@dataclass
class ReplayBench:
    """What is asked, changed a little from time to time."""

    asked: Asked

    def play(self, **changes: object) -> tuple[list[Round], Notebook]:
        notebook = Notebook()
        asked = replace(self.asked, **changes)  # type: ignore[arg-type]
        return replay(asked, notebook), notebook


def weekly(first: int, last: int, every: str = "1W") -> tuple[ReplaySpan, ...]:
    """Due instants between two weeks of the past."""
    begin, end = START_US + first * WEEK_US, START_US + last * WEEK_US
    return plan_spans(Interval.parse(every), begin, end)
