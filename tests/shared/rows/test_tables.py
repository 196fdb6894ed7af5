"""Tables made from a schema: created once, grown by new columns, never changed in silence."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import Engine, inspect, select

from shared.rows.frames import read_rows, snapshot_schema
from shared.rows.schema import Column, Kind
from shared.rows.store import RowLabel, StoredLabels, insert_rows, store_labels
from shared.rows.table_changes import DeclarationChanged, make_tables
from shared.rows.tables import RowTables, tables_of
from tests.support.churn_rows import COLUMNS, churn

LONG = "a plan whose name is longer than sixteen letters"


def record(row_id: str, **values: object) -> dict[str, object]:
    standard = {"charge": 1.5, "plan": "basic", "fibre": 1, "called": 7}
    return {
        "row_id": row_id,
        "entity": f"customer of {row_id}",
        "event_time": 1_000,
        "ingested_at": 2_000,
        "sent_by": None,
        **standard,
        **values,
    }


def label(row_id: str, value: float, known_at_us: int, source: str = "feedback") -> RowLabel:
    return RowLabel(row_id, value, known_at_us, source)


def write(engine: Engine, tables: RowTables, *records: dict[str, object]) -> int:
    with engine.begin() as connection:
        return len(insert_rows(connection, tables, records))


def test_rows_come_back_as_they_were_written(engine: Engine, tables: RowTables) -> None:
    write(engine, tables, record("a", plan=LONG), record("b", charge=None, fibre=None, called=None))
    frame = read_rows(engine, tables, 5_000)
    assert dict(frame.schema) == snapshot_schema(tables.schema)
    assert frame.select("row_id", "charge", "plan", "fibre", "called").rows() == [
        ("a", 1.5, LONG, True, 7),
        ("b", None, "basic", None, None),
    ]


def test_the_first_ingestion_of_a_row_wins(engine: Engine, tables: RowTables) -> None:
    assert write(engine, tables, record("a", charge=1.0)) == 1
    assert write(engine, tables, record("a", charge=2.0), record("b")) == 1
    assert read_rows(engine, tables, 5_000)["charge"].to_list() == [1.0, 1.5]


def test_rows_that_came_later_are_not_in_an_earlier_snapshot(
    engine: Engine, tables: RowTables
) -> None:
    write(engine, tables, record("early", ingested_at=100), record("late", ingested_at=300))
    assert read_rows(engine, tables, 200)["row_id"].to_list() == ["early"]


def test_a_label_that_changed_is_updated_kept_and_counted(
    engine: Engine, tables: RowTables
) -> None:
    write(engine, tables, record("a", ingested_at=0), record("b", ingested_at=0))
    with engine.begin() as connection:
        first = store_labels(connection, tables, [label("a", 0.0, 100), label("x", 1.0, 100)])
        again = store_labels(connection, tables, [label("a", 0.0, 200), label("b", 1.0, 200)])
        turned = store_labels(connection, tables, [label("a", 1.0, 300), label("b", 0.0, 150)])
    assert (first.new, first.unknown) == (1, 1)
    assert (again.new, again.repeated) == (1, 1)
    assert (turned.changed, turned.repeated) == (1, 1)
    told = {
        as_of: read_rows(engine, tables, as_of)["label"].to_list() for as_of in (50, 150, 250, 350)
    }
    assert told == {50: [None, None], 150: [0.0, None], 250: [0.0, 1.0], 350: [1.0, 1.0]}
    with engine.connect() as connection:
        [kept] = connection.execute(select(tables.label_changes)).all()
    assert (kept.label, kept.new_label, kept.replaced_at) == (0.0, 1.0, 300)


def test_of_two_labels_in_one_delivery_the_one_known_later_counts(
    engine: Engine, tables: RowTables
) -> None:
    write(engine, tables, record("a", ingested_at=0))
    with engine.begin() as connection:
        told = store_labels(connection, tables, [label("a", 1.0, 300), label("a", 0.0, 200)])
    assert told.new == 1
    assert read_rows(engine, tables, 900)["label"].to_list() == [1.0]


def test_of_labels_that_two_writers_store_at_once_the_one_known_later_counts(
    engine: Engine, tables: RowTables
) -> None:
    write(engine, tables, record("a", ingested_at=0))

    def store_the_earlier() -> StoredLabels:
        with engine.begin() as connection:
            return store_labels(connection, tables, [label("a", 0.0, 200)])

    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        with connection.begin():
            assert store_labels(connection, tables, [label("a", 1.0, 300)]).new == 1
            waiting = pool.submit(store_the_earlier)
            # it waits for this transaction, or comes after it
            assert not wait([waiting], timeout=0.3).done
        assert waiting.result(timeout=60).repeated == 1
    assert read_rows(engine, tables, 900)["label"].to_list() == [1.0]


def test_a_column_that_is_declared_later_is_added_and_old_rows_have_none(
    engine: Engine, tables: RowTables
) -> None:
    write(engine, tables, record("old"))
    grown = tables_of(churn(*COLUMNS, Column("region", Kind.CATEGORY, "region")))
    assert make_tables(engine, grown) == ("region",)
    assert make_tables(engine, grown) == ()
    write(engine, grown, record("new", region="north"))
    assert read_rows(engine, grown, 5_000)["region"].to_list() == ["north", None]


def test_a_new_column_is_refused_where_imported_rows_would_be_stored_twice(
    engine: Engine, tables: RowTables
) -> None:
    write(engine, tables, record("made of content", sent_by="import/1"))
    grown = tables_of(churn(*COLUMNS, Column("region", Kind.CATEGORY, "region")))
    with pytest.raises(DeclarationChanged, match=r"columns\.region was added.*stored twice"):
        make_tables(engine, grown)


def test_a_column_that_vanished_is_refused_with_the_remedy(
    engine: Engine, tables: RowTables
) -> None:
    shrunk = tables_of(churn(*COLUMNS[1:]))
    with pytest.raises(DeclarationChanged, match=r"columns\.charge was removed.*version to 2"):
        make_tables(engine, shrunk)


def test_a_column_that_changed_its_kind_is_refused_with_the_remedy(
    engine: Engine, tables: RowTables
) -> None:
    changed = tables_of(churn(Column("charge", Kind.CATEGORY, "charge"), *COLUMNS[1:]))
    expected = r"columns\.charge of churn was a number and is declared as a category.*version to 2"
    with pytest.raises(DeclarationChanged, match=expected):
        make_tables(engine, changed)


def test_a_raised_version_begins_with_tables_of_its_own(engine: Engine, tables: RowTables) -> None:
    write(engine, tables, record("a"))
    second = tables_of(churn(COLUMNS[0], version=2))
    make_tables(engine, second)
    assert read_rows(engine, second, 5_000).height == 0
    assert read_rows(engine, tables, 5_000).height == 1
    assert "churn_v2_decisions" in inspect(engine).get_table_names()
