"""Statements over whole batches, each in the fastest way its database offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    Connection,
    FromClause,
    String,
    Table,
    any_,
    column,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement

from shared.tables.engine import to_json
from shared.tables.tiles import Seen

RowValues = tuple[Any, ...]
_NUMBERS = count()


class LabelOrigin(NamedTuple):
    """The origin of a label, and the name of the caller who sent it."""

    source: str | None
    sent_by: str | None


@dataclass(frozen=True, slots=True)
class Inserted:
    """The result of a batch.

    Attributes:
        records: those that were new, in their order.
        duplicates: the columns the tiles depend on, of the other log's copies of them.
    """

    records: Sequence[RowValues]
    duplicates: Mapping[str, Seen]


def insert_new(
    connection: Connection,
    table: Table,
    other: Table,
    columns: Sequence[str],
    records: Sequence[RowValues],
) -> Inserted:
    """Insert the rows whose transaction_id the table has not; the first of equal ids wins."""
    if connection.dialect.name == "postgresql":
        return _copy_new(connection, table, other, columns, records)
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    statement = (
        f"INSERT INTO {table.name} ({names}) VALUES ({places}) "  # noqa: S608 - own names
        "ON CONFLICT (transaction_id) DO NOTHING"
    )
    before = _last_row(connection, table)
    connection.exec_driver_sql(statement, list(records))
    new = _last_row(connection, table) - before
    if new < len(records):
        query = f"SELECT transaction_id FROM {table.name} WHERE rowid > :rowid ORDER BY rowid"  # noqa: S608
        ids = connection.scalars(text(query), {"rowid": before})
        first = _first_of_each(columns, records)
        records = [first[key] for key in ids]
    return Inserted(records, _duplicates_after(connection, table, other, before) if new else {})


def seen_columns(columns: Sequence[str], records: Sequence[RowValues]) -> dict[str, list[Any]]:
    """The columns of the records that the tiles depend on; a missing one is null."""
    return {
        name: (
            list(map(itemgetter(columns.index(name)), records))
            if name in columns
            else [None] * len(records)
        )
        for name in Seen._fields
    }


def existing_ids(connection: Connection, table: Table, ids: Sequence[str]) -> set[str]:
    """The subset of the ids that the table has."""
    query = select(table.c.transaction_id).where(among(connection, table, ids))
    return set(connection.scalars(query))


def seen_rows(
    connection: Connection, table: Table, ids: Sequence[str], *, lock: bool = False
) -> dict[str, Seen]:
    """The columns the tiles depend on, of those of the ids that the table has.

    `lock`: they stay so until this transaction ends; all writers lock in the order of ids.
    """
    wanted = [table.c[name] for name in ("transaction_id", *Seen._fields)]
    query = select(*wanted).where(among(connection, table, ids))
    if lock and connection.dialect.name == "postgresql":
        query = query.order_by(table.c.transaction_id).with_for_update()
    return {row[0]: Seen(*row[1:]) for row in connection.execute(query)}


def label_origins(
    connection: Connection, table: Table, ids: Sequence[str]
) -> dict[tuple[str, int], LabelOrigin]:
    """The senders of the stored labels, by id and the instant since which each is known."""
    columns = (table.c.label_source, table.c.label_sent_by)
    query = select(table.c.transaction_id, table.c.label_known_at, *columns).where(
        among(connection, table, ids), table.c.label.is_not(None)
    )
    return {
        (key, known_at): LabelOrigin(*origin)
        for key, known_at, *origin in connection.execute(query)
    }


def among(
    connection: Connection, table: FromClause, ids: Sequence[str], row_id: str = "transaction_id"
) -> ColumnElement[bool]:
    """One bound value however many ids there are: databases limit the number of values."""
    if connection.dialect.name == "postgresql":
        return table.c[row_id] == any_(literal(list(ids), ARRAY(String)))
    each = func.json_each(to_json(ids)).table_valued(column("value"))
    return table.c[row_id].in_(select(each.c.value))


def _first_of_each(columns: Sequence[str], records: Sequence[RowValues]) -> dict[str, RowValues]:
    """The first record of each transaction_id, in their order."""
    key = itemgetter(columns.index("transaction_id"))
    first: dict[str, RowValues] = {}
    for record in records:
        first.setdefault(key(record), record)
    return first


def _last_row(connection: Connection, table: Table) -> int:
    """The highest rowid of a log in SQLite; rows inserted from now on get the next ones."""
    return connection.scalar(text(f"SELECT max(rowid) FROM {table.name}")) or 0  # noqa: S608


def _duplicates_after(
    connection: Connection, table: Table, other: Table, rowid: int
) -> dict[str, Seen]:
    """The other log's copies of the rows that SQLite inserted after the given one."""
    wanted = ", ".join(f"other.{name}" for name in ("transaction_id", *Seen._fields))
    # CROSS JOIN fixes the join order in SQLite: new rows first, each looked up in the other log
    query = (
        f"SELECT {wanted} FROM {table.name} AS new CROSS JOIN {other.name} AS other "  # noqa: S608
        "ON other.transaction_id = new.transaction_id WHERE new.rowid > :rowid"
    )
    return {key: Seen(*seen) for key, *seen in connection.execute(text(query), {"rowid": rowid})}


def _copy_new(
    connection: Connection,
    table: Table,
    other: Table,
    columns: Sequence[str],
    records: Sequence[RowValues],
) -> Inserted:
    """Several writers at once: of equal ids the one that commits first is stored."""
    fresh = _first_of_each(columns, records)
    staging, names = f"staged_{next(_NUMBERS)}", ", ".join(columns)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {staging} ON COMMIT DROP AS "  # noqa: S608 - own names
        f"SELECT {names} FROM {table.name} WITH NO DATA"
    )
    _copy(connection, f"COPY {staging} ({names}) FROM STDIN", list(fresh.values()))
    # Sorted: of two writers with the same ids one waits; they cannot deadlock.
    stored = connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {staging} "  # noqa: S608
        "ORDER BY transaction_id ON CONFLICT (transaction_id) DO NOTHING RETURNING transaction_id"
    )
    ids = set(stored.scalars())
    if len(ids) < len(fresh):
        fresh = {key: record for key, record in fresh.items() if key in ids}
    duplicates = seen_rows(connection, other, list(fresh), lock=True) if fresh else {}
    return Inserted(list(fresh.values()), duplicates)


def _copy(connection: Connection, statement: str, records: Sequence[RowValues]) -> None:
    driver = connection.connection.driver_connection
    if driver is None:
        raise ValueError("the connection is closed")
    errors: Any = connection.dialect.loaded_dbapi
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for record in records:
                copy.write_row(record)
    except errors.Error as error:
        # Wrapped as SQLAlchemy does: callers distinguish invalid rows from a failing database.
        raise DBAPIError.instance(
            statement, None, error, errors.Error, dialect=connection.dialect
        ) from error
