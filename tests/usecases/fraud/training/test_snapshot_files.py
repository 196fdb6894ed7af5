"""A snapshot in a file, and one of a lake and a database, hold the rows of the one in memory."""

import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, func, select

from learning.dataset.large import Workplace
from shared.clock import MICROS_PER_DAY
from shared.importing.importer import LakeImport
from shared.importing.lake import Lake
from shared.tables.archive import archive_rows
from shared.tables.data_changes import TRANSACTION_LOGS
from shared.tables.engine import connect
from shared.tables.schema import api_transaction_logs, metadata, transaction_history_logs
from shared.tables.writer import write_decisions, write_history, write_labels
from shared.transaction import Label
from tests.usecases.fraud.features.frames import START, record, transaction
from usecases.fraud.training.snapshot import read_snapshot
from usecases.fraud.training.snapshot_files import scan_snapshot

pytest.importorskip("duckdb", reason="pip install -r requirements/learning.txt")
pytest.importorskip("deltalake", reason="pip install -r requirements/learning.txt")

NOW_US = START + 600 * MICROS_PER_DAY
SCORED = {"model_version": "1.0.0", "component_scores": {"a": 0.5}, "score": 0.5}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Rows of both logs, some in both, with labels that arrived, changed or are to come."""
    engine = connect(f"sqlite:///{tmp_path}/rows.db")
    metadata.create_all(engine)
    rng = random.Random(5)
    rows = [
        transaction(
            number,
            START + round(rng.random() * 590 * MICROS_PER_DAY),
            user_id=f"u{rng.randrange(9)}",
            merchant_id=f"m{rng.randrange(4)}",
        )
        for number in range(300)
    ]
    with engine.begin() as connection:
        write_history(connection, [record(row) for row in rows[:180]])
        write_decisions(connection, [{**record(row), **SCORED} for row in rows[150:]])
    for known_days, value in ((300, 0), (500, 1), (700, 0)):
        labels = [
            Label(row.transaction_id, value, START + known_days * MICROS_PER_DAY, "bank")
            for row in rng.sample(rows, 120)
        ]
        with engine.begin() as connection:
            write_labels(connection, labels)
    yield engine
    engine.dispose()


def _scanned(
    engine: Engine, folder: Path, as_of_us: int = NOW_US, lake: Lake | None = None
) -> pl.DataFrame:
    place = Workplace(folder, rows_per_shard=70, shuffle_bytes=128 * 2**20, lake=lake)
    folder.mkdir()
    return scan_snapshot(engine, as_of_us, place).lazy().collect()


@pytest.mark.parametrize("days", [0, 250, 450, 600])
def test_a_snapshot_in_a_file_is_the_one_in_memory(
    engine: Engine, tmp_path: Path, days: int
) -> None:
    as_of_us = START + days * MICROS_PER_DAY
    expected = read_snapshot(engine, as_of_us)
    assert _scanned(engine, tmp_path / "files", as_of_us).equals(expected)


def test_training_reads_the_same_history_before_and_after_an_archive(
    engine: Engine, tmp_path: Path
) -> None:
    before, lake = read_snapshot(engine, NOW_US), Lake.at(str(tmp_path / "lake"))
    moved = archive_rows(engine, TRANSACTION_LOGS, lake, NOW_US, 200)
    assert sum(moved.values()) > 150
    assert read_snapshot(engine, NOW_US).height < before.height
    assert _scanned(engine, tmp_path / "files", lake=lake).equals(before)


def test_a_row_that_is_in_lake_and_database_counts_once_as_it_was_ingested_first(
    engine: Engine, tmp_path: Path
) -> None:
    before, lake = read_snapshot(engine, NOW_US), Lake.at(str(tmp_path / "lake"))
    log = transaction_history_logs
    with engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(select(log))]
    rows = pl.DataFrame(found, infer_schema_length=None)
    later = rows.with_columns(pl.col("ingested_at") + 1, amount=pl.lit(1e6))
    for again in (rows, later):
        lake.append(log, again)
    lake.compact(log.name)
    assert _scanned(engine, tmp_path / "files", lake=lake).equals(before)


def test_an_import_into_the_lake_leaves_the_rows_of_live_features_in_the_database(
    engine: Engine, tmp_path: Path
) -> None:
    lake = Lake.at(str(tmp_path / "lake"))
    rows = pl.DataFrame(
        {
            "transaction_id": [f"new{number}" for number in range(6)],
            "user_id": ["eve"] * 4 + ["bob"] * 2,
            "event_time": [NOW_US - days * MICROS_PER_DAY for days in (500, 400, 300, 3, 250, 1)],
            "ingested_at": [NOW_US] * 6,
        }
    )
    to_lake = LakeImport(lake, NOW_US, row_id="transaction_id", entity="user_id")
    rest = to_lake.take(rows)
    edges = to_lake.finish()
    assert rest["transaction_id"].to_list() == ["new3", "new5"]
    assert edges is not None
    assert set(edges["transaction_id"]) == {"new0", "new2", "new4"}
    stored = pl.concat(list(lake.batches("transactionhistorylogs", ["transaction_id"])))
    assert set(stored["transaction_id"]) == {"new0", "new1", "new2", "new4"}


def test_the_rows_of_an_archive_are_partitioned_by_month(engine: Engine, tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path / "lake"))
    archive_rows(engine, TRANSACTION_LOGS, lake, NOW_US, 200)
    with engine.connect() as connection:
        left = connection.scalar(select(func.count()).select_from(api_transaction_logs))
    folders = {path.name for path in Path(lake.place_of(api_transaction_logs.name)).iterdir()}
    stored = pl.concat(list(lake.batches(api_transaction_logs.name, ["event_time", "month"])))
    assert stored.height + (left or 0) == 150
    assert folders >= {f"month={month}" for month in stored["month"].unique()}
