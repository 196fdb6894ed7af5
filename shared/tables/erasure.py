"""Erasing one entity: its rows go from every table, and so does what was kept to undo changes.

Unlike a removal it cannot be taken back. What stays is a line that says who erased, when, why and
how many rows, with a digest of the entity's name instead of the name.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Table, delete, select

from shared.tables.data_changes import CHUNK, LOGS, begin_change, end_change, recounted
from shared.tables.engine import database_errors
from shared.tables.locks import lock_for_writing
from shared.tables.schema import label_changes, replaced_rows

_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class EntityTables:
    """The tables that hold rows of entities.

    Attributes:
        logs: name the entity in each row, by `entity`; rows are known by `row_id`.
        others: hold something of a row under the same `row_id`.
        replaced: the one of them that keeps rows as they were before a change, whole.
        has_tiles: whether merchant tiles count the rows of the logs.
    """

    logs: Sequence[Table]
    others: Sequence[Table]
    entity: str
    row_id: str
    replaced: Table
    has_tiles: bool = False


def transaction_tables() -> EntityTables:
    """The logs of card transactions, and what is kept of them for undoing."""
    others = (label_changes, replaced_rows)
    return EntityTables(LOGS, others, "user_id", "transaction_id", replaced_rows, has_tiles=True)


def erase_entity(
    engine: Engine, tables: EntityTables, entity: str, now_us: int, reason: str
) -> dict[str, int]:
    """Erase all rows of an entity in one transaction; returns how many each table had.

    Raises:
        DataUnavailable: the database cannot be written; nothing was erased.
    """
    counts = {table.name: 0 for table in (*tables.logs, *tables.others)}
    is_sqlite = engine.dialect.name == "sqlite"
    with database_errors("erase an entity"), engine.connect() as connection:
        if is_sqlite:
            # what was deleted is overwritten, in the file and, below, in its log
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
            connection.rollback()
        with connection.begin():
            lock_for_writing(connection)
            ids = _ids_of(connection, tables, entity)
            for begin in range(0, len(ids), CHUNK):
                _erase(connection, tables, ids[begin : begin + CHUNK], counts)
            counts[tables.replaced.name] += _erase_removed(connection, tables, entity)
            if any(counts.values()):
                number = begin_change(connection, "erase", now_us, reason, {})
                details = {"entity_sha256": digest_of(entity), "rows": counts}
                end_change(connection, number, details)
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return counts


def digest_of(entity: str) -> str:
    """What the audit line says instead of the entity's name; whoever knows the name can check."""
    return hashlib.sha256(entity.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _erase_removed(connection: Connection, tables: EntityTables, entity: str) -> int:
    """Rows that were removed before, or that a correction gave to somebody else."""
    kept = tables.replaced
    was = kept.c.before[tables.entity].as_string() == entity
    ids = select(kept.c[tables.row_id]).where(was)
    # what went with a row names no entity, and has its id
    return connection.execute(delete(kept).where(kept.c[tables.row_id].in_(ids))).rowcount


def _ids_of(connection: Connection, tables: EntityTables, entity: str) -> list[str]:
    found: dict[str, None] = {}
    for log in tables.logs:
        query = select(log.c[tables.row_id]).where(log.c[tables.entity] == entity)
        found.update(dict.fromkeys(connection.scalars(query)))
    return list(found)


def _erase(
    connection: Connection, tables: EntityTables, ids: Sequence[str], counts: dict[str, int]
) -> None:
    if not tables.has_tiles:
        _delete(connection, tables, ids, counts)
        return
    with recounted(connection, ids):
        _delete(connection, tables, ids, counts)


def _delete(
    connection: Connection, tables: EntityTables, ids: Sequence[str], counts: dict[str, int]
) -> None:
    for table in (*tables.logs, *tables.others):
        is_one = table.c[tables.row_id].in_(ids)
        counts[table.name] += connection.execute(delete(table).where(is_one)).rowcount
