"""Stored rows are found, mended and removed by command, and every such change can be undone."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from shared.tables.data_changes import list_changes
from shared.tables.engine import connect, migrate
from shared.tables.row_search import RowFilter
from shared.tables.tiles import rebuild_tiles
from shared.tables.writer import write_decisions, write_history
from understudy.cli import app
from understudy.row_subjects import RowsError
from understudy.rows import (
    fix_found,
    remove_found,
    show_changes,
    show_rows,
    undo_change,
)

MONDAY_US = 1_767_607_200_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/rows.db")
    migrate(engine)
    with engine.begin() as connection:
        write_history(connection, [_row("h1"), _row("h2", event_time=1_000, ingested_at=1_000)])
        write_decisions(connection, [_row("a1", amount=5e8, model_version="1.0.0",
                                          feature_vector=b"\x01\x02")])  # fmt: skip
    yield engine
    engine.dispose()


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=80)


def _row(name: str, **others: Any) -> dict[str, Any]:
    return {
        "transaction_id": name, "user_id": "u1", "event_time": MONDAY_US,
        "ingested_at": MONDAY_US, "amount": 12.5, "currency": "EUR", "merchant_id": "m1",
        "transaction_type": "purchase", **others,
    }  # fmt: skip


def _said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def _all(engine: Engine) -> dict[str, list[Any]]:
    tables = ("TransactionHistoryLogs", "APITransactionLogs", "MerchantTiles")
    with engine.connect() as connection:
        return {
            table: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}"))))
            for table in tables
        }


def _tiles_hold(engine: Engine) -> bool:
    before = _all(engine)["MerchantTiles"]
    with engine.begin() as connection:
        rebuild_tiles(connection)
    return _all(engine)["MerchantTiles"] == before


def test_rows_are_found_in_every_log(engine: Engine, console: Console) -> None:
    show_rows(engine, RowFilter(merchant_id="m1"), 20, console)
    told = _said(console)
    assert "2 rows in transactionhistorylogs" in told
    assert "1 rows in apitransactionlogs" in told
    assert "1970-01-01T00:00:00.001000Z" in told


def test_removed_rows_leave_logs_and_tiles_and_come_back_as_they_were(
    engine: Engine, console: Console
) -> None:
    before = _all(engine)
    wanted = RowFilter(before_us=MONDAY_US + 1)
    remove_found(engine, wanted, "wrong unit", console, is_confirmed=True)
    assert _all(engine)["TransactionHistoryLogs"] == _all(engine)["APITransactionLogs"] == []
    assert _tiles_hold(engine)
    [change] = list_changes(engine)
    assert (change.kind, change.reason, change.details["rows"]) == ("remove", "wrong unit", 3)
    undo_change(engine, change.number, "they were right", console, is_confirmed=True)
    assert _all(engine) == before


def test_columns_are_set_and_set_back(engine: Engine, console: Console) -> None:
    before = _all(engine)
    said = ["merchant_id=m2", "event_time=2026-01-06T10:00:00+01:00", "country="]
    wanted = RowFilter(transaction_ids=("h2",))
    fix_found(engine, wanted, said, "seconds", console, is_confirmed=True)
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT merchant_id, event_time FROM TransactionHistoryLogs "
                 "WHERE transaction_id = 'h2'")
        ).one()  # fmt: skip
    assert tuple(row) == ("m2", 1_767_690_000_000_000)
    assert _tiles_hold(engine)
    undo_change(engine, 1, "no", console, is_confirmed=True)
    assert _all(engine) == before


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("label=1", "COLUMN is user_id"),
        ("transaction_id=x", "COLUMN is user_id"),
        ("amount", "write COLUMN=VALUE"),
        ("amount=twelve", "'twelve' is not a number"),
        ("event_time=2026-01-05 10:00", "with its zone"),
        ("user_id=", "cannot be empty"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    engine: Engine, console: Console, said: str, told: str
) -> None:
    with pytest.raises(RowsError, match=told):
        fix_found(engine, RowFilter(user_id="u1"), [said], "x", console, is_confirmed=True)
    assert list_changes(engine) == []


def test_nothing_is_removed_without_a_condition_or_a_match(
    engine: Engine, console: Console
) -> None:
    with pytest.raises(RowsError, match="say which rows"):
        remove_found(engine, RowFilter(), "x", console, is_confirmed=True)
    with pytest.raises(RowsError, match="no row matches"):
        remove_found(engine, RowFilter(user_id="nobody"), "x", console, is_confirmed=True)


def test_without_yes_a_person_is_asked(engine: Engine) -> None:
    asked = CliRunner().invoke(
        app,
        ["rows", "remove", "--user", "u1", "--reason", "x"],
        input="n\n",
        env={"DATABASE_URL": engine.url.render_as_string(hide_password=False)},
    )
    assert asked.exit_code == 1
    assert list_changes(engine) == []


def test_changes_are_listed_with_who_and_why(engine: Engine, console: Console) -> None:
    remove_found(engine, RowFilter(transaction_ids=("h1",)), "test [row]", console,
                 is_confirmed=True)  # fmt: skip
    show_changes(engine, 20, console)
    assert "test [row]" in _said(console)
