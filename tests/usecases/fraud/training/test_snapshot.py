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
from shared.tables.writer import write_labels
from shared.transaction import OUR_RULES, Label
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


def correct(engine: Engine, *told: tuple[int, int]) -> None:
    """Say of t1 what is told, one (label, known at) after the other."""
    for value, known_at in told:
        with engine.begin() as link:
            write_labels(link, [Label("t1", value, known_at, "bank")])


def test_a_correction_is_in_the_next_snapshot_and_not_in_an_earlier_one(engine: Engine) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t1"})
    store(engine, transaction_history_logs, {"transaction_id": "t2", **label(1, 200)})
    correct(engine, (1, 200), (0, 500), (1, 700))
    for as_of_us, known, since in ((199, None, None), (499, 1, 200), (699, 0, 500), (900, 1, 700)):
        row = read_snapshot(engine, as_of_us).row(0, named=True)
        assert (row["label"], row["label_known_at"]) == (known, since)
        assert row["label_source"] == ("bank" if since else None)


def test_hearing_the_same_label_again_does_not_make_it_unknown_before(engine: Engine) -> None:
    store(engine, api_transaction_logs, {"transaction_id": "t1"})
    correct(engine, (1, 200), (1, 500))
    assert only_row(engine, 300)["label"] == 1
    assert only_row(engine, 300)["label_known_at"] == 200


def test_our_own_opinion_that_was_replaced_is_not_what_was_known_then(engine: Engine) -> None:
    store(engine, api_transaction_logs, {"transaction_id": "t1", **label(1, 200, OUR_RULES)})
    correct(engine, (0, 500))
    assert only_row(engine, 300)["label"] is None
    assert only_row(engine, 500)["label"] == 0


def test_a_snapshot_of_the_past_stays_what_it_was_when_labels_are_corrected(
    engine: Engine,
) -> None:
    store(engine, transaction_history_logs, {"transaction_id": "t1", **label(1, 200)})
    store(engine, api_transaction_logs, {"transaction_id": "t1", "ingested_at": 120})
    before = read_snapshot(engine, 400)
    correct(engine, (0, 500))
    assert read_snapshot(engine, 400).equals(before)
