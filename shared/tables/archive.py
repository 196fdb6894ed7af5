"""Old rows as Parquet files, out of the database; features of live rows stay what they are.

A file is on the disk before its rows are deleted. A process that dies in between leaves rows that
are in the archive and in the database: the next run writes them once more, into another file.
"""

import io
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from sqlalchemy import (
    JSON,
    ColumnElement,
    Engine,
    Row,
    Select,
    Table,
    and_,
    delete,
    func,
    select,
)

from shared.clock import MICROS_PER_DAY, to_datetime
from shared.errors import UnderstudyError
from shared.system.files import write_whole_within
from shared.tables.bulk import among
from shared.tables.data_changes import RowLogs
from shared.tables.engine import database_errors
from shared.tables.locks import share_writing

if TYPE_CHECKING:
    import polars as pl

LEAST_DAYS = 180.0
"""Training reads rows of several months, and each of them needs the month before it."""

_CHUNK = 20_000


class TooYoung(UnderstudyError):
    """Raised when rows would be archived that training or live features still need."""


class ArchivePlace(Protocol):
    """Keeps archived rows."""

    def write(self, table: Table, part: str, rows: "pl.DataFrame") -> None:
        """Keep rows of a table for good; `part` names them among those of a command.

        Raises:
            OSError: a file cannot be written.
            DataUnavailable: a lake does not take them.
        """
        ...

    def erase(self, logs: RowLogs, entity: str) -> int:
        """Erase an entity's rows, with their labels and decisions; returns how many rows.

        A process that dies in between has erased nothing that a second call needs to find the
        rest: what hangs on a row goes before the row.

        Raises:
            OSError: a file cannot be read or written.
            DataUnavailable: a lake does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class FolderArchive:
    """Parquet files: a folder a table."""

    folder: Path

    def write(self, table: Table, part: str, rows: "pl.DataFrame") -> None:
        _write_file(self.folder / table.name / f"{part}.parquet", rows)

    def erase(self, logs: RowLogs, entity: str) -> int:
        import polars as pl  # noqa: PLC0415 - settings and the console need only the limit of age

        wanted = pl.col(logs.entity) == entity
        ids = [
            row_id
            for log in logs.logs
            for file in self._files(log)
            for row_id in _read(file).filter(wanted)[logs.row_id]
        ]
        is_one = pl.col(logs.row_id).is_in(ids)
        for table in (*logs.beside, *logs.logs) if ids else ():
            for file in self._files(table):
                _rewrite_without(file, is_one)
        return len(ids)

    def _files(self, table: Table) -> list[Path]:
        return sorted((self.folder / table.name).glob("*.parquet"))


def _read(file: Path) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415 - settings and the console need only the limit of age

    # the folders above it may have any name
    return pl.read_parquet(file, glob=False, hive_partitioning=False)


def _rewrite_without(file: Path, is_one: "pl.Expr") -> None:
    rows = _read(file)
    left = rows.filter(is_one.fill_null(value=False).not_())
    if left.height == rows.height:
        return
    if left.is_empty():
        file.unlink()
        return
    _write_file(file, left)


def _write_file(file: Path, rows: "pl.DataFrame") -> None:
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd")
    write_whole_within(file, buffer.getvalue())


_Write = Callable[[Table, "pl.DataFrame"], None]


def archive_rows(
    engine: Engine,
    logs: RowLogs,
    to: Path | ArchivePlace,
    now_us: int,
    older_than_days: float,
    *,
    told: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, int]:
    """Move rows whose event is older into a folder or a lake; returns how many, by table.

    `told` is called after each file: rows that are done, and of how many.

    Raises:
        TooYoung: younger than `LEAST_DAYS`.
        DataUnavailable: the database cannot be read or written.
        OSError: a file cannot be written; its rows stay in the database.
    """
    if older_than_days < LEAST_DAYS:
        raise TooYoung(f"rows younger than {LEAST_DAYS:.0f} days are needed for training")
    before_us = now_us - round(older_than_days * MICROS_PER_DAY)
    place = FolderArchive(to) if isinstance(to, Path) else to
    # no two runs have the same names, whatever their clocks say: a file is never replaced
    stamp = f"{to_datetime(now_us):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"

    def writer(number: int) -> _Write:
        return lambda table, rows: place.write(table, f"{stamp}-{number:05d}", rows)

    counts = {table.name: 0 for table in (*logs.logs, *logs.beside)}
    total, done = _count(engine, logs, before_us), 0
    number = 0
    for log in logs.logs:
        while moved := _move(engine, logs, log, before_us, writer(number)):
            number += 1
            for name, count in moved.items():
                counts[name] += count
            done += moved[log.name]
            told(done, max(done, total))
    return counts


def _move(
    engine: Engine, logs: RowLogs, log: Table, before_us: int, write: _Write
) -> dict[str, int]:
    """The oldest rows that are left, in one transaction; empty where there are none."""
    with database_errors("archive rows"), engine.begin() as connection:
        # Concurrent with writers: they wait only for archived rows, and rows that they lock stay.
        share_writing(connection)
        ids = list(connection.scalars(_oldest(logs, log, before_us)))
        moved: dict[str, int] = {}
        for table in (log, *logs.beside) if ids else ():
            is_one = among(connection, table, ids, logs.row_id)
            # What goes is what is written: a row that is stored meanwhile is in both or in neither.
            gone = connection.execute(delete(table).where(is_one).returning(*table.columns)).all()
            if gone:
                write(table, _frame(table, gone))
            moved[table.name] = len(gone)
    return moved


def _count(engine: Engine, logs: RowLogs, before_us: int) -> int:
    with database_errors("count old rows"), engine.connect() as connection:
        return sum(
            connection.scalar(
                select(func.count()).select_from(log).where(*_conditions(logs, log, before_us))
            )
            or 0
            for log in logs.logs
        )


def _oldest(logs: RowLogs, log: Table, before_us: int) -> Select[Any]:
    query = select(log.c[logs.row_id]).where(*_conditions(logs, log, before_us))
    query = query.order_by(log.c.event_time).limit(_CHUNK)
    return query.with_for_update(skip_locked=True, of=log)


def _conditions(logs: RowLogs, log: Table, before_us: int) -> list[ColumnElement[bool]]:
    is_old = log.c.event_time < before_us
    if not logs.has_history:
        return [is_old]
    return [is_old, _is_dispensable(log, logs.entity, before_us)]


def _is_dispensable(log: Table, user: str, before_us: int) -> ColumnElement[bool]:
    """The SQL condition of rows on which no feature of a later row depends.

    They are neither the first row of their user nor the newest old one.

    The time since a user was first seen, and since the last row, are features.
    """
    other = log.alias()
    same = other.c[user] == log.c[user]
    first = select(func.min(other.c.event_time)).where(same).scalar_subquery()
    old = and_(same, other.c.event_time < before_us)
    newest = select(func.max(other.c.event_time)).where(old).scalar_subquery()
    return and_(log.c.event_time > first, log.c.event_time < newest)


def _frame(table: Table, rows: Sequence[Row[Any]]) -> "pl.DataFrame":
    """Columns as they are stored; JSON as text."""
    import polars as pl  # noqa: PLC0415 - settings and the console need only the limit of age

    columns = {
        column.name: [_plain(row[at], column.type) for row in rows]
        for at, column in enumerate(table.columns)
    }
    return pl.DataFrame(columns, strict=False)


def _plain(value: Any, kind: Any) -> Any:
    if value is not None and isinstance(kind, JSON):
        return orjson.dumps(value).decode()
    return value
