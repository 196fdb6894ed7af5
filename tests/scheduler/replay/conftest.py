"""A replay ready to run, over a past of thirty weeks that turns half-way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.replay.asked import Asked
from scheduler.replay.history import connect_read_only
from scheduler.replay.plan import Span, plan_spans
from scheduler.replay.record import Round
from scheduler.replay.replay import replay
from shared.intervals import Interval
from shared.tables.engine import connect, migrate
from tests.scheduler.fakes import NOW_US
from tests.scheduler.replay.chronicle import START_US, WEEK_US, Chronicle


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

    def step(self, span: Span, what: str) -> None:
        self.steps.append(what)

    def ended(self, record: Round) -> None:
        self.played.append(record.span.number)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    engine = connect_read_only(url)
    yield engine
    engine.dispose()


@dataclass
class ReplayBench:
    """What is asked, changed a little from time to time."""

    asked: Asked

    def play(self, **changes: object) -> tuple[list[Round], Notebook]:
        notebook = Notebook()
        asked = replace(self.asked, **changes)  # type: ignore[arg-type]
        return replay(asked, notebook), notebook


def weekly(first: int, last: int, every: str = "1W") -> tuple[Span, ...]:
    """Due instants between two weeks of the past."""
    begin, end = START_US + first * WEEK_US, START_US + last * WEEK_US
    return plan_spans(Interval.parse(every), begin, end)


@pytest.fixture
def bench(history: Engine, tmp_path: Path) -> ReplayBench:
    return ReplayBench(
        Asked(
            use_case=Chronicle(),
            history=history,
            spans=weekly(10, 26, "4W"),
            known_us=NOW_US + 2 * WEEK_US,
            work=tmp_path / "work",
            seed=1,
            latency_budget_ms=1_000.0,
        )
    )
