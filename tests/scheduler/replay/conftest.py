"""A replay ready to run, over a past of thirty weeks that turns half-way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.replay.history import connect_read_only
from scheduler.replay.record import Asked
from shared.tables.engine import connect, migrate
from tests.scheduler.fakes import NOW_US
from tests.scheduler.replay.chronicle import WEEK_US, Chronicle
from tests.support.replay_bench import ReplayBench, weekly


@pytest.fixture
def history(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    engine = connect_read_only(url)
    yield engine
    engine.dispose()


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
