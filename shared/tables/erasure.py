"""Erasing one entity: its rows go from every table, and so does what was kept to undo changes.

Unlike a removal it cannot be taken back. What stays is a line that says who erased, when, why and
how many rows, with a digest of the entity's name instead of the name.
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, Table, delete, select

from shared.tables.data_changes import (
    CHUNK,
    RowLogs,
    begin_change,
    end_change,
    recounted_if_tiled,
)
from shared.tables.engine import database_errors
from shared.tables.locks import lock_for_writing

_DIGEST_CHARACTERS = 16


def erase_entity(
    engine: Engine, logs: RowLogs, entity: str, now_us: int, reason: str
) -> dict[str, int]:
    """Erase all rows of an entity in one transaction; returns how many each table had.

    Raises:
        DataUnavailable: the database cannot be written; nothing was erased.
    """
    counts = {table.name: 0 for table in _all_of(logs)}
    is_sqlite = engine.dialect.name == "sqlite"
    with database_errors("erase an entity"), engine.connect() as connection:
        if is_sqlite:
            # overwrites deleted content in the file; the WAL is truncated below
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
            connection.rollback()
        with connection.begin():
            lock_for_writing(connection)
            ids = _ids_of(connection, logs, entity)
            for begin in range(0, len(ids), CHUNK):
                _erase(connection, logs, ids[begin : begin + CHUNK], counts)
            counts[logs.replaced.name] += _erase_removed(connection, logs, entity)
            if any(counts.values()):
                number = begin_change(connection, "erase", now_us, reason, {})
                details = {"entity_sha256": digest_of(entity), "rows": counts}
                end_change(connection, number, details)
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return counts


def digest_of(entity: str) -> str:
    """The digest that stands for an entity in the audit line; the name verifies it."""
    return hashlib.sha256(entity.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _erase_removed(connection: Connection, logs: RowLogs, entity: str) -> int:
    """Rows that were removed before, or that a correction gave to another entity."""
    kept = logs.replaced
    was = kept.c.before[logs.entity].as_string() == entity
    ids = select(kept.c[logs.row_id]).where(was)
    # dependent records carry no entity, only the id of their row
    return connection.execute(delete(kept).where(kept.c[logs.row_id].in_(ids))).rowcount


def _ids_of(connection: Connection, logs: RowLogs, entity: str) -> list[str]:
    found: dict[str, None] = {}
    for log in logs.logs:
        query = select(log.c[logs.row_id]).where(log.c[logs.entity] == entity)
        found.update(dict.fromkeys(connection.scalars(query)))
    return list(found)


def _erase(
    connection: Connection, logs: RowLogs, ids: Sequence[str], counts: dict[str, int]
) -> None:
    with recounted_if_tiled(connection, ids, logs):
        for table in _all_of(logs):
            is_one = table.c[logs.row_id].in_(ids)
            counts[table.name] += connection.execute(delete(table).where(is_one)).rowcount


def _all_of(logs: RowLogs) -> tuple[Table, ...]:
    return (*logs.logs, *logs.beside, logs.replaced)
