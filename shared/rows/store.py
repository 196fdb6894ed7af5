"""Writing rows and labels of a declared use case, in bulk or one by one.

The first ingestion of a row wins: a row that comes again, from whichever side, stays as it was.
A label that comes again with another value, or as known later, replaces the old one, which is
kept with the instant of its replacement.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    Connection,
    String,
    Table,
    any_,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from shared.rows.tables import RowTables
from shared.tables.engine import to_json
from shared.tables.locks import share_writing

LabelValue = float | bytes
_Item = TypeVar("_Item")
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class RowLabel:
    """The truth about one row, and since when it is known.

    Attributes:
        value: the index of a class, a value, or float32 little-endian items of a ranking.
    """

    row_id: str
    value: LabelValue
    known_at_us: int
    source: str
    sent_by: str | None = None


@dataclass(slots=True)
class StoredLabels:
    """The outcome of labels.

    Attributes:
        new: rows that had none.
        changed: rows whose label has another value now; the old one is kept.
        repeated: the same value again, or one that was known earlier than the stored one.
        unknown: labels of rows that are not stored.
        delays_us: of new ones, from the row's event to the instant since when it is known.
    """

    new: int = 0
    changed: int = 0
    repeated: int = 0
    unknown: int = 0
    changed_ids: set[str] = field(default_factory=set)
    outdated_ids: set[str] = field(default_factory=set)
    unknown_ids: set[str] = field(default_factory=set)
    delays_us: list[int] = field(default_factory=list)


def insert_rows(
    connection: Connection, tables: RowTables, records: Sequence[Mapping[str, Any]]
) -> frozenset[str]:
    """Store rows that are not there yet, with their labels; the ids of those that were stored.

    Every record has the same keys, columns of the table. Of two with one id the first counts.
    """
    stored: set[str] = set()
    for chunk in _chunks(records):
        fresh = {record["row_id"]: record for record in reversed(chunk)}
        rows = tables.rows
        known = select(rows.c.row_id).where(among(connection, rows, list(fresh)))
        for row_id in connection.scalars(known).all():
            del fresh[row_id]
        if fresh:
            names = list(next(iter(fresh.values())))
            rows_of = itemgetter(*names)
            insert_unless_there(connection, rows, names, list(map(rows_of, fresh.values())))
        stored |= fresh.keys()
    return frozenset(stored)


def first_differences(
    connection: Connection, tables: RowTables, records: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, Any, Any]]:
    """Records that are stored with other values: id, first such column, its value, the stored one.

    Labels are no difference: they are updated.
    """
    names = ("row_id", "entity", "event_time", *tables.schema.names)
    values_of = itemgetter(*names)
    columns = [tables.rows.c[name] for name in names]
    for chunk in _chunks(records):
        by_id = {record["row_id"]: record for record in chunk}
        known = select(*columns).where(among(connection, tables.rows, list(by_id)))
        stored = {row[0]: tuple(row) for row in connection.execute(known)}
        for record in chunk:
            ours, theirs = stored.get(record["row_id"]), values_of(record)
            if ours is not None and ours != theirs:
                at = next(at for at, value in enumerate(theirs) if value != ours[at])
                yield record["row_id"], names[at], theirs[at], ours[at]


def insert_unless_there(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    records: Sequence[tuple[Any, ...]],
) -> int:
    """Store records, of these columns each, unless the table has their row_id; returns how many.

    Tuples go to the driver untouched: making and checking a dictionary of each costs more than
    storing it. JSON is text, and a flag a number.
    """
    quoted = connection.dialect.identifier_preparer.quote
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    statement = (
        f"INSERT INTO {quoted(table.name)} ({', '.join(map(quoted, names))}) "  # noqa: S608 - quoted
        f"VALUES ({', '.join([mark] * len(names))}) ON CONFLICT (row_id) DO NOTHING"
    )
    if not records:
        return 0
    if connection.dialect.name == "postgresql":
        # Sorted: two writers with the same rows cannot deadlock.
        records = sorted(records, key=itemgetter(names.index("row_id")))
    return connection.exec_driver_sql(statement, list(records)).rowcount


def store_labels(
    connection: Connection, tables: RowTables, labels: Iterable[RowLabel]
) -> StoredLabels:
    """Set labels of stored rows, keep the ones they replace, and count both."""
    outcome = StoredLabels()
    latest: dict[str, RowLabel] = {}
    for label in labels:
        known = latest.get(label.row_id)
        if known is None or label.known_at_us >= known.known_at_us:
            latest[label.row_id] = label
    if latest:
        # Before the first read: in SQLite another writer could write between read and write.
        share_writing(connection)
    for chunk in _chunks(sorted(latest.values(), key=attrgetter("row_id"))):
        _store_chunk(connection, tables, chunk, outcome)
    return outcome


def _store_chunk(
    connection: Connection, tables: RowTables, chunk: Sequence[RowLabel], outcome: StoredLabels
) -> None:
    rows = tables.rows.c
    query = select(
        rows.row_id,
        rows.event_time,
        rows.label,
        rows.label_known_at,
        rows.label_source,
        rows.label_sent_by,
    ).where(among(connection, tables.rows, [label.row_id for label in chunk]))
    # FOR UPDATE in sorted order: the second writer in PostgreSQL waits and sees the first's label.
    query = query.order_by(rows.row_id).with_for_update()
    stored = {row.row_id: row for row in connection.execute(query)}
    written: list[RowLabel] = []
    replaced: list[dict[str, Any]] = []
    for label in chunk:
        old = stored.get(label.row_id)
        if old is None:
            outcome.unknown += 1
            outcome.unknown_ids.add(label.row_id)
        elif old.label is None:
            outcome.new += 1
            outcome.delays_us.append(label.known_at_us - old.event_time)
            written.append(label)
        elif old.label == label.value or label.known_at_us < old.label_known_at:
            outcome.repeated += 1
            if old.label != label.value:
                outcome.outdated_ids.add(label.row_id)
        else:
            outcome.changed += 1
            outcome.changed_ids.add(label.row_id)
            written.append(label)
            replaced.append(_change(old, label))
    if replaced:
        connection.execute(insert(tables.label_changes), replaced)
    if written:
        connection.execute(_label_update(tables.rows), [_label_values(label) for label in written])


def _change(old: Any, label: RowLabel) -> dict[str, Any]:
    return {
        "row_id": old.row_id,
        "label": old.label,
        "label_known_at": old.label_known_at,
        "label_source": old.label_source,
        "label_sent_by": old.label_sent_by,
        "new_label": label.value,
        "replaced_at": label.known_at_us,
    }


def _label_update(rows: Table) -> Any:
    return (
        update(rows)
        .where(rows.c.row_id == bindparam("of_row"))
        .values(
            label=bindparam("value"),
            label_known_at=bindparam("known_at"),
            label_source=bindparam("source"),
            label_sent_by=bindparam("by"),
        )
    )


def _label_values(label: RowLabel) -> dict[str, Any]:
    return {
        "of_row": label.row_id,
        "value": label.value,
        "known_at": label.known_at_us,
        "source": label.source,
        "by": label.sent_by,
    }


def among(connection: Connection, table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
    """One bound value however many ids there are: databases limit the number of values."""
    if connection.dialect.name == "postgresql":
        return table.c.row_id == any_(literal(list(ids), ARRAY(String)))
    each = func.json_each(to_json(ids)).table_valued(column("value"))
    return table.c.row_id.in_(select(each.c.value))


def _chunks(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
