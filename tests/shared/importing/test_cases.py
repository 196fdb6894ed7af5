"""Exports of real systems, one fault each: the inputs that showed them, with the right answer."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.clock import SystemClock
from shared.importing.importer import ImportSummary, import_files
from shared.importing.mapping import MappingError, read_mapping

# Beside the checkout, as the inputs of the benchmarks are.
CASES = Path(__file__).parents[4] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not here")


@dataclass(frozen=True)
class Right:
    """What has to come of an import: its counts, some stored values, a reason, a note."""

    inserted: int
    rejected: int = 0
    reason: str = ""
    stored: dict[str, Any] = field(default_factory=dict)
    note: str = ""


LOST_DIGITS = "is a number that lost digits"
RIGHT = {
    "C02/account.csv m": Right(10, 90, f"user_id {LOST_DIGITS}"),
    "C02/id.csv m": Right(50, 50, f"transaction_id {LOST_DIGITS}"),
    "C04/in.csv s": Right(800),
    "C06/eu.csv eu": Right(3, stored={"t1": 12.5, "t2": 1299.99, "t3": 7}, note="decimal ','"),
    "C06/us.csv us": Right(4, stored={"t2": 1234.5, "t3": 12000, "t4": 999.99}),
    "C08/bq.csv zone": Right(3),
    "C08/bq.csv nozone": Right(3),
    "C08/bq.csv fmt": Right(3),
    "C08/other.csv zone": Right(3),
    "C09/in.csv m": Right(14),
    "C11/open.csv m": Right(99, 1, "a quote that opens and never closes"),
    "C11/two_open.csv m": Right(98, 2, "a quote that opens and never closes"),
    "C11/inch.csv m": Right(100),
    "C11/joe.csv m": Right(100),
    "C11/backslash.csv m": Right(100),
    "C13/nan.parquet m": Right(100),
    "C13/nan.csv m": Right(3, 1, "amount is missing"),
    "C14/null.parquet m": Right(3),
    "C14/control.parquet m": Right(3),
    "D02/in.csv m": Right(4, 1, "amount is negative", {"t2": 1250, "t3": 25000, "t4": 1250000}),
    "D10/in.csv m": Right(0, 1, "ingested_at is more than a day before event_time"),
    "D12/in.csv m": Right(18, 3, "say its format under [time]"),
}
REFUSED = {
    "C04/in.csv ms": 'seems to be unit = "s"',
    "C18/dup.csv m": "column 'amount' is there 2 times",
    "C18/dup.parquet m": "column 'amount' is there 2 times",
    "D14/in.csv m": "say origin",
}


def _import(engine: Engine, case: str, folder: Path) -> ImportSummary:
    file, mapping = case.split()
    path = CASES / file
    return import_files(
        engine,
        [path],
        read_mapping(path.with_name(f"{mapping}.toml")),
        folder / "rejected.csv",
        SystemClock().now_us(),
        progress=lambda *_: None,
    )


def _amounts(engine: Engine) -> dict[str, float]:
    query = text("SELECT transaction_id, amount FROM TransactionHistoryLogs")
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


@pytest.mark.parametrize("case", RIGHT)
def test_an_export_comes_in_as_it_was_meant(engine: Engine, tmp_path: Path, case: str) -> None:
    right = RIGHT[case]
    summary = _import(engine, case, tmp_path)
    assert (summary.inserted, summary.rejected, summary.duplicates) == (
        right.inserted,
        right.rejected,
        0,
    )
    assert any(right.reason in reason for reason in summary.reasons) or not right.reason
    assert any(right.note in note for note in summary.notes) or not right.note
    amounts = _amounts(engine)
    assert {name: amounts[name] for name in right.stored} == right.stored


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_file_leaves_open_is_asked_before_a_row_is_written(
    engine: Engine, tmp_path: Path, case: str
) -> None:
    with pytest.raises(MappingError, match=REFUSED[case]):
        _import(engine, case, tmp_path)
    assert _amounts(engine) == {}


def test_labels_of_all_databases_are_read(engine: Engine, tmp_path: Path) -> None:
    _import(engine, "C09/in.csv m", tmp_path)
    query = text("SELECT transaction_id, label FROM TransactionHistoryLogs")
    with engine.connect() as connection:
        labels = {row[0]: row[1] for row in connection.execute(query)}
    ones = {"t0", "t3", "t5", "t7", "t9", "t11", "t13"}
    assert {name for name, label in labels.items() if label == 1} == ones
    assert labels["t2"] is None


def test_the_line_of_an_open_quote_is_named(engine: Engine, tmp_path: Path) -> None:
    _import(engine, "C11/open.csv m", tmp_path)
    [header, line] = (tmp_path / "rejected.csv").read_text().splitlines()
    assert header.startswith("row,line,reason")
    assert line.startswith("3,4,line holds a quote that opens and never closes")


def test_the_cases_are_here_where_ci_runs() -> None:
    assert CASES.is_dir() or os.environ.get("CI") != "true"
