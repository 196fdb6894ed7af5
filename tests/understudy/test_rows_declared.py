"""Rows of a declared use case: found, corrected, removed, and every change taken back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import Engine, select

from api.journal.entries import RecordFormat
from shared.clock import to_micros
from shared.rows.declaration import read_declaration
from shared.rows.row_store import DeclaredRowStore
from shared.rows.schema import Row
from shared.rows.tables import RowTables, row_logs, tables_of
from shared.tables.data_changes import list_changes
from shared.tables.engine import connect
from shared.tables.erasure import erase_entity
from shared.tables.row_search import RowFilter
from tests.support.declared_source import HEAD, NOW_US, use_case
from understudy.importing_declared import import_declared
from understudy.row_subjects import RowsError, Subject, declared_subject
from understudy.rows import fix_found, remove_found, show_rows, undo_change

QUIET = Console(quiet=True)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    yield engine
    engine.dispose()


@pytest.fixture
def subject(tmp_path: Path, engine: Engine) -> Subject:
    """Three rows from a file, of which "b" has been answered since."""
    use_case(tmp_path)
    (tmp_path / "rows.csv").write_text(
        HEAD + "a,2026-01-01,1,yes\nb,2026-01-02,2,no\nc,2026-01-03,3,\n"
    )
    import_declared(engine, tmp_path, [], QUIET)
    store = DeclaredRowStore(read_declaration(tmp_path / "usecase.toml").row_schema)
    row = Row("b", "b", NOW_US, NOW_US, (2.0,))
    decided = (0.25, '{"probability":0.25}', "no", "[]", "[]", "1.0.0", "1-ab", 1.5, "shop", b"\0")
    with engine.begin() as connection:
        columns = RecordFormat(store).columns
        store.write_decisions(connection, columns, [(*store.values(row), *decided)])
    return declared_subject(tmp_path)


def tables(tmp_path: Path) -> RowTables:
    return tables_of(read_declaration(tmp_path / "usecase.toml").row_schema)


def everything(engine: Engine, tmp_path: Path) -> dict[str, list[Any]]:
    """All rows of the tables that a change may touch."""
    found = tables(tmp_path)
    with engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in (found.rows, found.decisions)
        }


def only(*ids: str) -> RowFilter:
    return RowFilter(transaction_ids=ids)


def test_a_removed_row_goes_with_its_decision_and_comes_back_with_it(
    engine: Engine, subject: Subject, tmp_path: Path
) -> None:
    before = everything(engine, tmp_path)
    remove_found(engine, only("b", "c"), "a test", QUIET, is_confirmed=True, subject=subject)
    left = everything(engine, tmp_path)
    assert [row[0] for row in left[tables(tmp_path).rows.name]] == ["a"]
    assert left[tables(tmp_path).decisions.name] == []
    number = list_changes(engine)[0].number
    undo_change(engine, number, "wrong", QUIET, is_confirmed=True, subject=subject)
    assert everything(engine, tmp_path) == before


def test_a_column_is_set_within_its_declaration_and_set_back(
    engine: Engine, subject: Subject, tmp_path: Path
) -> None:
    before = everything(engine, tmp_path)
    wanted = RowFilter(before_us=to_micros_of_day(3))
    fix_found(engine, wanted, ["size=7.5"], "cents", QUIET, is_confirmed=True, subject=subject)
    rows = tables(tmp_path).rows
    with engine.connect() as connection:
        sizes = dict(map(tuple, connection.execute(select(rows.c.row_id, rows.c.size))))
    assert sizes == {"a": 7.5, "b": 7.5, "c": 3.0}
    number = list_changes(engine)[0].number
    undo_change(engine, number, "wrong", QUIET, is_confirmed=True, subject=subject)
    assert everything(engine, tmp_path) == before


def to_micros_of_day(day: int) -> int:
    return to_micros(datetime(2026, 1, day, tzinfo=UTC))


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("sizes=1", "COLUMN is size, event_time, ingested_at"),
        ("size=", "cannot be empty"),
        ("size=much", "'much' is not a number"),
        ("size=1e40", "outside of"),
        ("event_time=soon", "instant with its zone"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_nothing_changes(
    engine: Engine, subject: Subject, said: str, part: str
) -> None:
    with pytest.raises(RowsError, match=part):
        fix_found(engine, only("a"), [said], "no", QUIET, is_confirmed=True, subject=subject)
    assert [change.kind for change in list_changes(engine)] == ["import"]


def test_an_import_is_undone_but_for_rows_that_were_answered_since(
    engine: Engine, subject: Subject, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text(HEAD + "a,2026-01-01,1,no\nc,2026-01-03,3,yes\n")
    import_declared(engine, tmp_path, [], QUIET)
    labels = tables(tmp_path).rows
    with engine.connect() as connection:
        known = dict(map(tuple, connection.execute(select(labels.c.row_id, labels.c.label))))
    assert known == {"a": 0.0, "b": 0.0, "c": 1.0}
    first, second = sorted(change.number for change in list_changes(engine))
    undo_change(engine, second, "wrong file", QUIET, is_confirmed=True, subject=subject)
    with engine.connect() as connection:
        known = dict(map(tuple, connection.execute(select(labels.c.row_id, labels.c.label))))
    assert known == {"a": 1.0, "b": 0.0, "c": None}
    undo_change(engine, first, "wrong file", QUIET, is_confirmed=True, subject=subject)
    with engine.connect() as connection:
        assert list(connection.scalars(select(labels.c.row_id))) == ["b"]


def test_rows_are_found_by_what_they_have(engine: Engine, subject: Subject) -> None:
    screen = StringIO()
    show_rows(engine, only("a"), 5, Console(file=screen, width=100), subject)
    assert "1 rows in sample_v1_rows" in screen.getvalue()
    assert "2026-01-01T00:00:00" in screen.getvalue()
    with pytest.raises(RowsError, match="no column merchant_id"):
        show_rows(engine, RowFilter(merchant_id="m"), 5, QUIET, subject)


def test_erasing_an_entity_takes_what_was_kept_of_its_removed_rows(
    engine: Engine, subject: Subject, tmp_path: Path
) -> None:
    remove_found(engine, only("b", "c"), "a test", QUIET, is_confirmed=True, subject=subject)
    number = list_changes(engine)[0].number
    erase_entity(engine, row_logs(tables(tmp_path)), "b", NOW_US, "article 17")
    kept = tables(tmp_path).replaced_rows
    with engine.connect() as connection:
        assert list(connection.scalars(select(kept.c.row_id))) == ["c"]
    undo_change(engine, number, "wrong", QUIET, is_confirmed=True, subject=subject)
    rows = everything(engine, tmp_path)[tables(tmp_path).rows.name]
    assert [row[0] for row in rows] == ["a", "c"]
