"""Changes of rows by command: each has a number, says who and why, and can be undone.

A change of rows corrects the merchant tiles in the same transaction, whatever it does.
"""

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Table, delete, insert, null, select, update

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

ChangeKind = Literal["import", "seed", "fix", "remove", "undo", "erase"]
LOGS = (transaction_history_logs, api_transaction_logs, quarantined_transaction_logs)
CHUNK = 5_000
IMPORT_SENDER = "import/"
"""Begins the sender of imported rows; no token can be named so."""


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
) -> int:
    """Write down that a change begins; returns its number."""
    values = {
        "kind": kind,
        "changedat": isoformat(now_us),
        "changedby": getpass.getuser()[:64],
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
    """Whether the simulator filled this database."""
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
) -> None:
    """Set columns of rows to new values; `values` name transaction_id and these columns."""
    ids = [str(row["transaction_id"]) for row in values]
    _keep(connection, number, log, ids, columns)
    with recounted(connection, ids):
        _set(connection, log, values, columns)


def remove_rows(connection: Connection, number: int, log: Table, ids: Sequence[str]) -> None:
    """Take rows out of a log; they are kept as they were."""
    _keep(connection, number, log, ids, tuple(log.columns.keys()))
    with recounted(connection, ids):
        connection.execute(delete(log).where(among(connection, log, ids)))


def undo(engine: Engine, number: int, now_us: int, reason: str | None) -> dict[str, int]:
    """Take a change back; returns how many rows were removed, put back and relabelled.

    Raises:
        LookupError: there is no such change, it is no longer in force, or it cannot be undone.
        DataUnavailable: the database cannot be written; nothing was undone.
    """
    with database_errors("undo a data change"), engine.begin() as connection:
        lock_for_writing(connection)
        _refuse_unknown(connection, number)
        counts = {
            "removed": _remove_imported(connection, number),
            "restored": _put_back(connection, number),
            "relabelled": _take_labels_back(connection, number),
        }
        details = {"undid": number, **counts}
        undone_by = begin_change(connection, "undo", now_us, reason, details)
        where = data_changes.c.changeid == number
        connection.execute(update(data_changes).where(where).values(undoneby=undone_by))
    return counts


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
    connection: Connection, number: int, log: Table, ids: Sequence[str], columns: Sequence[str]
) -> None:
    wanted = [log.c[name] for name in dict.fromkeys(("transaction_id", *columns))]
    found = connection.execute(select(*wanted).where(among(connection, log, ids))).mappings()
    rows = [
        {
            "changeid": number,
            "log": log.name,
            "transaction_id": row["transaction_id"],
            "before": {name: _as_json(row[name]) for name in columns},
        }
        for row in found
    ]
    if rows:
        connection.execute(insert(replaced_rows), rows)


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
) -> None:
    for row in values:
        new = {name: row[name] for name in columns}
        key = row["transaction_id"]
        connection.execute(update(log).where(log.c.transaction_id == key).values(new))


def _remove_imported(connection: Connection, number: int) -> int:
    log, removed = transaction_history_logs, 0
    query = select(log.c.transaction_id).where(log.c.sent_by == sender_of(number))
    ids = list(connection.scalars(query))
    for begin in range(0, len(ids), CHUNK):
        part = ids[begin : begin + CHUNK]
        with recounted(connection, part):
            connection.execute(delete(log).where(among(connection, log, part)))
        removed += len(part)
    return removed


def _put_back(connection: Connection, number: int) -> int:
    restored = 0
    for log in LOGS:
        query = select(replaced_rows.c.transaction_id, replaced_rows.c.before).where(
            replaced_rows.c.changeid == number, replaced_rows.c.log == log.name
        )
        rows = {row[0]: row[1] for row in connection.execute(query)}
        ids = list(rows)
        for begin in range(0, len(ids), CHUNK):
            part = ids[begin : begin + CHUNK]
            with recounted(connection, part):
                _restore(connection, log, {key: rows[key] for key in part})
        restored += len(rows)
    return restored


def _restore(connection: Connection, log: Table, rows: Mapping[str, Mapping[str, Any]]) -> None:
    query = select(log.c.transaction_id).where(among(connection, log, list(rows)))
    there = set(connection.scalars(query))
    for key, before in rows.items():
        # None would be JSON's null in a column of JSON
        values = {
            name: null() if value is None else _from_json(value) for name, value in before.items()
        }
        if key in there:
            connection.execute(update(log).where(log.c.transaction_id == key).values(values))
        else:
            connection.execute(insert(log).values({"transaction_id": key, **values}))


def _take_labels_back(connection: Connection, number: int) -> int:
    """Labels that the import brought to rows that were there before it."""
    relabelled = 0
    for log in LOGS:
        query = select(log.c.transaction_id, log.c.label_known_at).where(
            log.c.label_sent_by == sender_of(number)
        )
        rows = {row[0]: row[1] for row in connection.execute(query)}
        ids = list(rows)
        for begin in range(0, len(ids), CHUNK):
            _labels_as_before(
                connection, log, {key: rows[key] for key in ids[begin : begin + CHUNK]}
            )
        relabelled += len(rows)
    return relabelled


def _labels_as_before(connection: Connection, log: Table, known: dict[str, int | None]) -> None:
    with recounted(connection, list(known)):
        for key, known_at in known.items():
            _label_as_before(connection, log, key, known_at)


def _label_as_before(connection: Connection, log: Table, key: str, known_at: int | None) -> None:
    replaced = label_changes.c
    query = (
        select(
            replaced.label,
            replaced.label_known_at,
            replaced.label_source,
            replaced.label_sent_by,
        )
        .where(replaced.transaction_id == key, replaced.replaced_at == known_at)
        .order_by(replaced.label_known_at.desc())
        .limit(1)
    )
    before = connection.execute(query).first() or (None, None, None, None)
    names = ("label", "label_known_at", "label_source", "label_sent_by")
    values = dict(zip(names, before, strict=True))
    connection.execute(update(log).where(log.c.transaction_id == key).values(values))
