"""Seeding fills an empty database once, all of it or nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.tables.engine import connect, migrate
from simulator.history import SimulatedPast
from simulator.seeding import is_empty, seed
from simulator.world import World


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    migrate(engine)
    yield engine
    engine.dispose()


def test_an_empty_database_is_filled_and_its_tiles_counted(
    engine: Engine, world: World, past: SimulatedPast
) -> None:
    assert is_empty(engine)
    told: list[tuple[int, int]] = []
    rows = seed(engine, world, past.now_us, lambda *done: told.append(done), days=30)
    assert not is_empty(engine)
    assert told[-1] == (rows, rows)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM TransactionHistoryLogs")) == rows
        counted = text("SELECT sum(rows) FROM MerchantTiles WHERE kind = 'row'")
        assert connection.scalar(counted) == rows


class Interrupted(Exception):
    """What a progress bar raises when somebody presses Ctrl-C."""


def test_seeding_that_is_interrupted_leaves_the_database_empty(
    engine: Engine, world: World, past: SimulatedPast
) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        seed(engine, world, past.now_us, interrupt, days=30)
    assert is_empty(engine)
