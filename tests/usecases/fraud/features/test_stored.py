"""Windows read by compiled code: the bits of reading row by row, and an honest failure."""

import os
import random
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.errors import DataUnavailable
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_decisions, write_history
from shared.usecase.serving import WindowBounds
from tests.usecases.fraud.features.frames import HOUR, START, record, transaction
from tests.usecases.fraud.features.histories import any_history
from usecases.fraud.features.catalogue import FEATURE_SET, MAX_PRIOR_ROWS
from usecases.fraud.features.online import FraudFeatureSource
from usecases.fraud.features.pasts import Pasts
from usecases.fraud.features.stored import StoredWindows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    engine = connect(f"sqlite:///{tmp_path}/stored.db")
    migrate(engine)
    engine.dispose()
    return tmp_path / "stored.db"


@pytest.fixture
def engine(path: Path) -> Engine:
    return connect(f"sqlite:///{path}")


def alone(engine: Engine, most: int = MAX_PRIOR_ROWS) -> FraudFeatureSource:
    return FraudFeatureSource(engine, bounds=WindowBounds(0, 100_000), max_prior_rows=most)


def row_by_row(engine: Engine, most: int = MAX_PRIOR_ROWS) -> FraudFeatureSource:
    source = alone(engine, most)
    source.pasts = Pasts(source.live, None)
    return source


def stored_of(engine: Engine) -> StoredWindows:
    found = alone(engine).pasts.stored
    assert found is not None
    return found


@pytest.mark.coupling
@pytest.mark.parametrize("most", [MAX_PRIOR_ROWS, 1, 20])
def test_any_history_gets_the_bits_of_reading_row_by_row(engine: Engine, most: int) -> None:
    dice = random.Random(11)
    history = any_history(dice)
    history.write(engine)
    kept = FraudFeatureSource(engine, max_prior_rows=most)
    read, plain = alone(engine, most), row_by_row(engine, most)
    for asked in history.questions(dice, 400):
        expected = plain.vector(asked).tobytes()
        assert read.vector(asked).tobytes() == expected, asked
        assert kept.vector(asked).tobytes() == expected, asked


def test_a_locked_database_is_unavailable_and_is_read_again_afterwards(
    path: Path, engine: Engine
) -> None:
    stored, row = stored_of(engine), transaction(1, START)
    other = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"):
        other.execute(statement)
    with pytest.raises(DataUnavailable, match="locked"):
        stored.lasting(row)
    other.close()
    assert stored.lasting(row) is not None


def test_a_damaged_database_is_unavailable(path: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        rows = [transaction(number, START + number) for number in range(2_000)]
        write_history(connection, [record(row) for row in rows])
    with sqlite3.connect(path) as connection_:
        connection_.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection_.close()
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(path.stat().st_size - 4_096))
    with pytest.raises(DataUnavailable, match="could not read history"):
        stored_of(engine).lasting(transaction(9_999, START + HOUR))


def test_a_database_without_tables_is_unavailable(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    engine = connect(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(DataUnavailable, match="no such table"):
        stored_of(engine).alone(transaction(1, START))


def test_a_database_that_is_away_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="unable to open"):
        stored_of(connect(f"sqlite:///{tmp_path}/away.db")).alone(transaction(1, START))


def test_a_source_goes_on_without_a_database_it_cannot_read(tmp_path: Path) -> None:
    source = alone(connect(f"sqlite:///{tmp_path}/away.db"))
    vector = source.vector(transaction(1, START))
    assert vector[FEATURE_SET.names.index("cnt_30d")] == 0.0
    assert source.live.guard.fallbacks == 2


def test_two_copies_of_one_transaction_want_a_closer_look(engine: Engine) -> None:
    row = transaction(1, START)
    with engine.begin() as connection:
        write_history(connection, [record(row)])
        write_decisions(connection, [{**record(row), "model_version": "1.0.0"}])
    assert stored_of(engine).lasting(transaction(2, START + HOUR)) is None
    found = alone(engine).vector(transaction(2, START + HOUR))
    assert found[FEATURE_SET.names.index("cnt_24h")] == 1.0


def test_a_database_named_by_a_uri_is_read_through_its_pool(path: Path) -> None:
    source = FraudFeatureSource(connect(f"sqlite:///file:{path}?uri=true"))
    assert source.pasts.stored is None
    assert source.windows is None
    source.vector(transaction(1, START))
    assert source.live.guard.fallbacks == 0
