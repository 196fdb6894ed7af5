"""The snapshot is what was known at an instant: each row once, its latest label, in order."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, Table, insert

from shared.errors import DataUnavailable
from shared.tables.engine import connect
from shared.tables.schema import api_transaction_logs, metadata, transaction_history_logs
from usecases.fraud.training.snapshot import SCHEMA, read_snapshot

NOW_US = 1_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'logs.db'}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def store(engine: Engine, table: Table, *rows: Mapping[str, Any]) -> None:
    plain = {
        "user_id": "u1",
        "event_time": 100,
        "ingested_at": 100,
        "amount": 12.5,
        "currency": "EUR",
        "merchant_id": "m1",
        "transaction_type": "purchase",
    }
    if table is api_transaction_logs:
        plain["model_version"] = "1.0.0"
    with engine.begin() as link:
        for row in rows:
            link.execute(insert(table).values(**{**plain, **row}))


def label(value: int, known_at: int, source: str | None = "bank") -> dict[str, Any]:
    return {"label": value, "label_known_at": known_at, "label_source": source}


def only_row(engine: Engine, as_of_us: int = NOW_US) -> dict[str, Any]:
    snapshot = read_snapshot(engine, as_of_us)
    assert snapshot.height == 1
    return snapshot.row(0, named=True)


def test_both_logs_are_read_in_the_order_of_time(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "late", "event_time": 300})
    store(engine, transaction_history_logs, {"transaction_id": "early", "event_time": 100})
    store(engine, api_transaction_logs, {"transaction_id": "between", "event_time": 200})
    snapshot = read_snapshot(engine, NOW_US)
    assert snapshot["transaction_id"].to_list() == ["early", "between", "late"]
    assert snapshot.schema == SCHEMA


def test_an_empty_database_gives_no_rows_with_the_right_columns(engine: Engine) -> None:
    snapshot = read_snapshot(engine, NOW_US)
    assert snapshot.height == 0
    assert snapshot.schema == SCHEMA


def test_a_label_that_becomes_known_later_is_null_with_all_its_columns(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t", **label(1, NOW_US + 1)})
    row = only_row(engine)
    assert (row["label"], row["label_known_at"], row["label_source"]) == (None, None, None)
    assert only_row(engine, NOW_US + 1)["label"] == 1


def test_a_label_of_our_own_rules_is_no_label(engine: Engine) -> None:
    store(engine, api_transaction_logs, {"transaction_id": "t", **label(1, 200, "rules")})
    assert only_row(engine)["label"] is None


def test_a_label_without_a_source_is_a_label(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t", **label(0, 200, None)})
    assert only_row(engine)["label"] == 0


def test_a_row_ingested_later_is_not_known_yet(engine: Engine) -> None:
    store(engine, api_transaction_logs, {"transaction_id": "t", "ingested_at": NOW_US + 1})
    assert read_snapshot(engine, NOW_US).is_empty()


def test_of_a_row_in_both_logs_the_scored_one_is_kept(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t", "ingested_at": 100})
    store(engine, api_transaction_logs, {"transaction_id": "t", "ingested_at": 150})
    assert only_row(engine)["ingested_at"] == 150


@pytest.mark.parametrize(("history_known_at", "expected"), [(300, 1), (100, 0), (200, 0)])
def test_of_two_labels_the_later_known_wins(
    engine: Engine, history_known_at: int, expected: int
) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t", **label(1, history_known_at)})
    store(engine, api_transaction_logs, {"transaction_id": "t", **label(0, 200)})
    assert only_row(engine)["label"] == expected


def test_a_label_only_the_history_has_reaches_the_scored_row(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t", **label(1, 300)})
    store(engine, api_transaction_logs, {"transaction_id": "t", "ingested_at": 150})
    row = only_row(engine)
    assert (row["ingested_at"], row["label"], row["label_known_at"]) == (150, 1, 300)


def test_a_label_not_known_yet_does_not_hide_one_that_is(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t", **label(1, 300)})
    store(engine, api_transaction_logs, {"transaction_id": "t", **label(0, NOW_US + 5)})
    assert only_row(engine)["label"] == 1


def test_a_database_without_the_tables_is_unavailable_data(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(DataUnavailable, match="read the transaction logs"):
        read_snapshot(engine, NOW_US)
    engine.dispose()


def test_text_in_a_number_column_is_unavailable_data(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t"})
    with engine.begin() as link:
        link.exec_driver_sql("UPDATE transactionhistorylogs SET utc_offset_min = 'noon'")
    with pytest.raises(DataUnavailable, match="utc_offset_min"):
        read_snapshot(engine, NOW_US)


def test_rows_come_back_whole_over_several_reads(engine: Engine) -> None:
    rows = [{"transaction_id": f"t{i}", "event_time": i} for i in range(25)]
    store(engine, transaction_history_logs, *rows)
    snapshot = read_snapshot(engine, NOW_US, rows_per_read=10)
    assert snapshot["event_time"].to_list() == list(range(25))
    assert snapshot.select(pl.col("transaction_id").n_unique()).item() == 25
