"""Changes of rows by command: each has a number, says who and why, and can be undone.

A change of rows corrects the merchant tiles in the same transaction, whatever it does.
"""

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Table, delete, insert, null, select, update
from sqlalchemy.sql.elements import ColumnElement

from shared.clock import isoformat
from shared.tables.bulk import among, seen_rows
from shared.tables.engine import database_errors
from shared.tables.locks import lock_for_writing
from shared.tables.schema import (
    api_transaction_logs,
    data_changes,
    label_changes,
    quarantined_transaction_logs,
    replaced_rows,
    transaction_history_logs,
)
from shared.tables.tiles import TileChanges, merged

ChangeKind = Literal[
    "import", "seed", "fix", "remove", "undo", "erase", "schedule", "run-cancelled"
]
LOGS = (transaction_history_logs, api_transaction_logs, quarantined_transaction_logs)
CHUNK = 5_000
IMPORT_SENDER = "import/"
"""Begins the sender of imported rows; no token can be named so."""


@dataclass(frozen=True, slots=True)
class RowLogs:
    """The tables of a use case's rows, for commands that change, erase or archive them.

    Attributes:
        row_id, entity: columns of each log.
        imported: the log that imports write to.
        label_changes: labels that later ones replaced.
        replaced: rows as they were before a change.
        others: hold something of a row of `imported` under its id, and go and come back with it.
        has_tiles: whether merchant tiles count the rows.
        has_history: whether features of later rows are made from an entity's earlier ones.
    """

    row_id: str
    entity: str
    logs: tuple[Table, ...]
    imported: Table
    label_changes: Table
    replaced: Table
    others: tuple[Table, ...] = ()
    has_tiles: bool = False
    has_history: bool = False

    @property
    def beside(self) -> tuple[Table, ...]:
        """The parts of a log's row in other tables, and its replaced labels."""
        return (*self.others, self.label_changes)


TRANSACTION_LOGS = RowLogs(
    "transaction_id",
    "user_id",
    LOGS,
    transaction_history_logs,
    label_changes,
    replaced_rows,
    has_tiles=True,
    has_history=True,
)


@dataclass(frozen=True, slots=True)
class DataChange:
    """One change as it is listed."""

    number: int
    kind: str
    changed_at: str
    changed_by: str
    reason: str | None
    details: Mapping[str, Any]
    undone_by: int | None


def sender_of(number: int) -> str:
    """The sender recorded for rows and labels of an import."""
    return f"{IMPORT_SENDER}{number}"


def begin_change(
    connection: Connection,
    kind: ChangeKind,
    now_us: int,
    reason: str | None,
    details: Mapping[str, Any],
    *,
    by: str | None = None,
) -> int:
    """Write down that a change begins; returns its number. `by`: else the user of the system."""
    values = {
        "kind": kind,
        "changedat": isoformat(now_us),
        "changedby": (by or getpass.getuser())[:64],
        "reason": reason,
        "details": dict(details),
    }
    result = connection.execute(insert(data_changes).values(values))
    [number] = result.inserted_primary_key or [0]
    return int(number)


def end_change(connection: Connection, number: int, details: Mapping[str, Any]) -> None:
    """Write down what came of it."""
    where = data_changes.c.changeid == number
    connection.execute(update(data_changes).where(where).values(details=dict(details)))


def list_changes(engine: Engine, limit: int = 50) -> list[DataChange]:
    """The newest changes, newest first.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(data_changes).order_by(data_changes.c.changeid.desc()).limit(limit)
    with database_errors("list data changes"), engine.connect() as connection:
        return [
            DataChange(number, kind, at, by, reason, details or {}, undone_by)
            for number, kind, at, by, reason, details, undone_by in connection.execute(query)
        ]


def is_synthetic(engine: Engine) -> bool:
    """True if the simulator filled this database."""
    query = select(data_changes.c.changeid).where(data_changes.c.kind == "seed").limit(1)
    with database_errors("look for simulated rows"), engine.connect() as connection:
        return connection.scalar(query) is not None


@contextmanager
def recounted(connection: Connection, ids: Sequence[str]) -> Iterator[None]:
    """Whatever is done to these rows inside, the merchant tiles count them right after it."""
    lock_for_writing(connection)
    changes = TileChanges()
    _count(connection, ids, changes, -1)
    yield
    _count(connection, ids, changes, 1)
    changes.write(connection)


def replace_rows(
    connection: Connection,
    number: int,
    log: Table,
    values: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    logs: RowLogs = TRANSACTION_LOGS,
) -> None:
    """Set columns of rows to new values; `values` name the row's id and these columns."""
    ids = [str(row[logs.row_id]) for row in values]
    _keep(connection, number, log, ids, columns, logs=logs)
    with recounted_if_tiled(connection, ids, logs):
        _set(connection, log, values, columns, logs)


def remove_rows(
    connection: Connection,
    number: int,
    log: Table,
    ids: Sequence[str],
    logs: RowLogs = TRANSACTION_LOGS,
) -> None:
    """Take rows out of a log; they are kept as they were."""
    tables = (log, *logs.others) if log is logs.imported else (log,)
    for table in tables:
        _keep(connection, number, table, ids, tuple(table.columns.keys()), logs=logs)
    with recounted_if_tiled(connection, ids, logs):
        for table in tables:
            connection.execute(delete(table).where(_among(connection, table, ids, logs)))


def undo(
    engine: Engine,
    number: int,
    now_us: int,
    reason: str | None,
    logs: RowLogs = TRANSACTION_LOGS,
) -> dict[str, int]:
    """Take a change back; returns how many rows were removed, put back and relabelled.

    Raises:
        LookupError: there is no such change, it is no longer in force, or it cannot be undone.
        DataUnavailable: the database cannot be written; nothing was undone.
    """
    with database_errors("undo a data change"), engine.begin() as connection:
        lock_for_writing(connection)
        _refuse_unknown(connection, number)
        counts = {
            "removed": _remove_imported(connection, number, logs),
            "restored": _put_back(connection, number, logs),
            "relabelled": _take_labels_back(connection, number, logs),
        }
        details = {"undid": number, **counts}
        undone_by = begin_change(connection, "undo", now_us, reason, details)
        where = data_changes.c.changeid == number
        connection.execute(update(data_changes).where(where).values(undoneby=undone_by))
    return counts


@contextmanager
def recounted_if_tiled(connection: Connection, ids: Sequence[str], logs: RowLogs) -> Iterator[None]:
    """The same, where merchant tiles count the rows; the write lock is held in any case."""
    if not logs.has_tiles:
        lock_for_writing(connection)
        yield
        return
    with recounted(connection, ids):
        yield


def _among(
    connection: Connection, table: Table, ids: Sequence[str], logs: RowLogs
) -> ColumnElement[bool]:
    return among(connection, table, ids, logs.row_id)


def _refuse_unknown(connection: Connection, number: int) -> None:
    found = connection.execute(
        select(data_changes.c.kind, data_changes.c.undoneby).where(
            data_changes.c.changeid == number
        )
    ).first()
    if found is None:
        raise LookupError(f"there is no change {number}; `understudy rows changes` lists them")
    kind, undone_by = found
    if undone_by is not None:
        raise LookupError(f"change {number} was undone already, by change {undone_by}")
    if kind not in ("import", "fix", "remove"):
        raise LookupError(f"change {number} is a {kind}, which cannot be undone")


def _count(connection: Connection, ids: Sequence[str], changes: TileChanges, sign: int) -> None:
    history = seen_rows(connection, transaction_history_logs, ids)
    scored = seen_rows(connection, api_transaction_logs, ids)
    for key in history.keys() | scored.keys():
        changes.add(merged(history.get(key), scored.get(key)), sign)


def _keep(
    connection: Connection,
    number: int,
    log: Table,
    ids: Sequence[str],
    columns: Sequence[str],
    *,
    logs: RowLogs,
) -> None:
    row_id = logs.row_id
    wanted = [log.c[name] for name in dict.fromkeys((row_id, *columns))]
    found = connection.execute(select(*wanted).where(_among(connection, log, ids, logs)))
    rows = [
        {
            "changeid": number,
            "log": log.name,
            row_id: row[row_id],
            "before": {name: _as_json(row[name]) for name in columns},
        }
        for row in found.mappings()
    ]
    if rows:
        connection.execute(insert(logs.replaced), rows)


def _as_json(value: Any) -> Any:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _from_json(value: Any) -> Any:
    is_bytes = isinstance(value, dict) and value.keys() == {"hex"}
    return bytes.fromhex(value["hex"]) if is_bytes else value


def _set(
    connection: Connection,
    log: Table,
    values: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    logs: RowLogs,
) -> None:
    for row in values:
        new = {name: row[name] for name in columns}
        where = log.c[logs.row_id] == row[logs.row_id]
        connection.execute(update(log).where(where).values(new))


def _remove_imported(connection: Connection, number: int, logs: RowLogs) -> int:
    """Rows of an import, but for those that were answered since: a decision keeps its row."""
    log, removed = logs.imported, 0
    row_id = log.c[logs.row_id]
    query = select(row_id).where(log.c.sent_by == sender_of(number))
    for other in logs.others:
        query = query.where(row_id.not_in(select(other.c[logs.row_id])))
    ids = list(connection.scalars(query))
    for part in _parts(ids):
        with recounted_if_tiled(connection, part, logs):
            connection.execute(delete(log).where(_among(connection, log, part, logs)))
        removed += len(part)
    return removed


def _put_back(connection: Connection, number: int, logs: RowLogs) -> int:
    restored = 0
    replaced = logs.replaced
    for log in (*logs.logs, *logs.others):
        query = select(replaced.c[logs.row_id], replaced.c.before).where(
            replaced.c.changeid == number, replaced.c.log == log.name
        )
        rows = {row[0]: row[1] for row in connection.execute(query)}
        for part in _parts(list(rows)):
            with recounted_if_tiled(connection, part, logs):
                _restore(connection, log, {key: rows[key] for key in part}, logs)
        restored += 0 if log in logs.others else len(rows)
    return restored


def _restore(
    connection: Connection, log: Table, rows: Mapping[str, Mapping[str, Any]], logs: RowLogs
) -> None:
    row_id = log.c[logs.row_id]
    query = select(row_id).where(_among(connection, log, list(rows), logs))
    there = set(connection.scalars(query))
    for key, before in rows.items():
        # null() is SQL NULL; None would be stored as JSON null
        values = {
            name: null() if value is None else _from_json(value) for name, value in before.items()
        }
        if key in there:
            connection.execute(update(log).where(row_id == key).values(values))
        else:
            connection.execute(insert(log).values({logs.row_id: key, **values}))


def _take_labels_back(connection: Connection, number: int, logs: RowLogs) -> int:
    """Labels that the import brought to rows that were there before it."""
    relabelled = 0
    for log in logs.logs:
        query = select(log.c[logs.row_id], log.c.label_known_at).where(
            log.c.label_sent_by == sender_of(number)
        )
        rows = {row[0]: row[1] for row in connection.execute(query)}
        for part in _parts(list(rows)):
            _labels_as_before(connection, log, {key: rows[key] for key in part}, logs)
        relabelled += len(rows)
    return relabelled


def _labels_as_before(
    connection: Connection, log: Table, known_at: Mapping[str, int | None], logs: RowLogs
) -> None:
    with recounted_if_tiled(connection, list(known_at), logs):
        for key, instant in known_at.items():
            _label_as_before(connection, log, key, instant, logs)


def _label_as_before(
    connection: Connection, log: Table, key: str, known_at: int | None, logs: RowLogs
) -> None:
    replaced = logs.label_changes.c
    query = (
        select(
            replaced.label,
            replaced.label_known_at,
            replaced.label_source,
            replaced.label_sent_by,
        )
        .where(replaced[logs.row_id] == key, replaced.replaced_at == known_at)
        .order_by(replaced.label_known_at.desc())
        .limit(1)
    )
    before = connection.execute(query).first() or (None, None, None, None)
    names = ("label", "label_known_at", "label_source", "label_sent_by")
    values = dict(zip(names, before, strict=True))
    connection.execute(update(log).where(log.c[logs.row_id] == key).values(values))


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[begin : begin + CHUNK] for begin in range(0, len(ids), CHUNK))
