"""Statements over whole batches, each in the fastest way its database offers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, String, Table, any_, column, func, literal, select
from sqlalchemy.sql.elements import ColumnElement

from shared.tables.engine import to_json
from shared.tables.tile_counts import count_columns, count_rows_after, last_row
from shared.tables.tiles import Seen

Record = tuple[Any, ...]


def insert_counted(
    connection: Connection, table: Table, columns: Sequence[str], records: Sequence[Record]
) -> None:
    """Insert rows that are known to be new, and count them into the merchant tiles."""
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {table.name} ({names}) FROM STDIN", records)
        seen = {name: columns.index(name) for name in Seen._fields}
        count_columns(connection, {name: [row[at] for row in records] for name, at in seen.items()})
        return
    before = last_row(connection, table)
    places = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({places})"  # noqa: S608 - own names
    connection.exec_driver_sql(statement, list(records))
    count_rows_after(connection, table, before)


def existing_ids(connection: Connection, table: Table, ids: Sequence[str]) -> set[str]:
    """Those of the ids that the table has."""
    query = select(table.c.transaction_id).where(_among(connection, table, ids))
    return set(connection.scalars(query))


def seen_rows(connection: Connection, table: Table, ids: Sequence[str]) -> dict[str, Seen]:
    """What the tiles depend on, of those of the ids that the table has."""
    wanted = [table.c[name] for name in ("transaction_id", *Seen._fields)]
    query = select(*wanted).where(_among(connection, table, ids))
    return {row[0]: Seen(*row[1:]) for row in connection.execute(query)}


def label_sources(
    connection: Connection, table: Table, ids: Sequence[str]
) -> dict[tuple[str, int], str | None]:
    """Who said what those of the ids are labelled, by id and the instant since when."""
    columns = (table.c.transaction_id, table.c.label_known_at, table.c.label_source)
    query = select(*columns).where(_among(connection, table, ids), table.c.label.is_not(None))
    return {(key, known_at): source for key, known_at, source in connection.execute(query)}


def _among(connection: Connection, table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
    """One bound value however many ids there are: databases limit the number of values."""
    if connection.dialect.name == "postgresql":
        return table.c.transaction_id == any_(literal(list(ids), ARRAY(String)))
    each = func.json_each(to_json(ids)).table_valued(column("value"))
    return table.c.transaction_id.in_(select(each.c.value))


def _copy(connection: Connection, statement: str, records: Sequence[Record]) -> None:
    driver = connection.connection.driver_connection
    if driver is None:
        raise ValueError("the connection is closed")
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for record in records:
            copy.write_row(record)
