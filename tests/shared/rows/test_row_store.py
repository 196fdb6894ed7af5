"""Decided rows on their way from the journal to the tables of a declared use case."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, select

from api.journal.entries import RecordFormat
from shared.rows.frames import read_rows
from shared.rows.row_store import DeclaredRowStore
from shared.rows.schema import Column, Kind, Row, RowSchema
from shared.rows.tables import RowTables, tables_of
from shared.tables.engine import migrate
from tests.support.churn_rows import COLUMNS, churn

RESERVED = Column("order", Kind.FLAG, "order")


def schema() -> RowSchema:
    return replace(churn(), columns=(*COLUMNS, RESERVED))


@pytest.fixture
def store(engine: Engine) -> DeclaredRowStore:
    made = DeclaredRowStore(schema())
    migrate(engine)
    made.prepare(engine)
    return made


def record(store: DeclaredRowStore, row: Row, version: str = "1.0.0") -> tuple[Any, ...]:
    decided = (0.25, '{"probability":0.25}', "no", "[]", "[]", version, "1-ab", 1.5, "shop", b"\0")
    return (*store.values(row), *decided)


def row(row_id: str, *, charge: float | None = 1.5, fibre: bool | None = True) -> Row:
    return Row(row_id, "c", 1_000, 2_000, (charge, "basic", fibre, 7, False))


def write(engine: Engine, store: DeclaredRowStore, *records: tuple[Any, ...]) -> None:
    with engine.begin() as connection:
        store.write_decisions(connection, RecordFormat(store).columns, records)


def decisions(engine: Engine, tables: RowTables) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(tables.decisions).order_by("row_id")))


def test_a_decision_is_stored_with_its_row_whatever_its_columns_are_called(
    engine: Engine, store: DeclaredRowStore
) -> None:
    write(engine, store, record(store, row("a")), record(store, row("b", charge=None, fibre=None)))
    tables = tables_of(schema())
    frame = read_rows(engine, tables, 5_000)
    assert frame.select("row_id", "charge", "fibre", "order", "sent_by").rows() == [
        ("a", 1.5, True, False, "shop"),
        ("b", None, None, False, "shop"),
    ]
    first = decisions(engine, tables)[0]
    assert (first.decided_at, first.score, first.component_scores, first.matched_rules) == (
        2_000,
        0.25,
        {"probability": 0.25},
        [],
    )


def test_a_record_that_comes_twice_is_stored_once_and_the_first_one_wins(
    engine: Engine, store: DeclaredRowStore
) -> None:
    write(engine, store, record(store, row("a")), record(store, row("a", charge=9.0), "1.0.1"))
    write(engine, store, record(store, row("a", charge=8.0), "1.0.2"))
    assert [one.model_version for one in decisions(engine, tables_of(schema()))] == ["1.0.0"]
    assert read_rows(engine, tables_of(schema()), 5_000)["charge"].to_list() == [1.5]


def test_quarantined_rows_are_in_no_snapshot(engine: Engine, store: DeclaredRowStore) -> None:
    with engine.begin() as connection:
        columns = RecordFormat(store).columns
        store.write_quarantined(connection, columns, [record(store, row("a"))])
        known = select(store.decided_ids(quarantined=True).c.row_id)
        assert list(connection.scalars(known)) == ["a"]
    assert read_rows(engine, tables_of(schema()), 5_000).is_empty()
    assert decisions(engine, tables_of(schema())) == []
