"""The database as the target of the drain: one transaction a batch, flushed to disk.

SQLite's WAL with `synchronous = NORMAL` survives the death of a process, and loses the newest
transactions when the power fails. The journal forgets what the database has, so the connections
that drain it, and those that store labels, flush the WAL with every commit.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Protocol, cast

from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.exc import DataError, IntegrityError

from api.journal.entries import DEFAULT_FORMAT, LogRow, QuarantinedLogRow, RecordFormat, key_of
from shared.errors import DataUnavailable
from shared.system.files import sync_directory
from shared.tables.bulk import among
from shared.tables.engine import (
    database_errors,
    file_of,
    lasting_transaction,
    prepare_for_bulk,
)
from shared.transaction import Label

_FULL = ("synchronous = FULL", "fullfsync = ON")

JournalRecord = LogRow | Label

# Columns that identify a decision: where they are equal, the response is equal.
_IDENTITY = ("event_time", "model_version", "score", "latency_ms", "feature_vector")


def commit_durably(engine: Engine) -> None:
    """Makes every commit of this engine's connections reach the disk before it returns."""
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def connected(raw: sqlite3.Connection, _record: object) -> None:
            for pragma in _FULL:
                raw.execute(f"PRAGMA {pragma}")


def insist_on_durable_commit(connection: Connection) -> None:
    """PostgreSQL: also where the URL, the role or the server says `synchronous_commit = off`."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SELECT set_config('synchronous_commit', 'on', true)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )


class DatabaseNames:
    """The names of SQLite's files: the process that made the WAL may not have synced its folder."""

    def __init__(self, engine: Engine) -> None:
        database = engine.url.database if engine.dialect.name == "sqlite" else None
        self._database = None if database in (None, "", ":memory:") else Path(str(database))
        self._synced: tuple[int, int] | None = None

    def sync(self) -> None:
        """Syncs the folder after a commit if the database file or its WAL was replaced."""
        if self._database is None:
            return
        found = (_inode(self._database), _inode(Path(f"{self._database}-wal")))
        if found != self._synced:
            sync_directory(self._database.parent)
            self._synced = found


def _inode(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_ino
    return 0


class RowRefused(Exception):
    """Raised when the database is well but will never take one of these rows."""


@dataclass(slots=True)
class Stored:
    """The result of a batch: labels without a known transaction are reported, not dropped.

    Attributes:
        quarantined_ids: transaction_ids of quarantined rows; in `transaction_ids`
            are the others.
        new: decisions that the database did not have.
        superseded: keys of decisions among them that do not stand: another host's decision under
            this id was committed first.
        refused: keys of decisions that the database will never take.
    """

    transaction_ids: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    unknown_labels: list[Label] = field(default_factory=list)
    quarantined_ids: list[str] = field(default_factory=list)
    new: int = 0
    superseded: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Sink(Protocol):
    def prepare(self) -> None:
        """Make ready to store, once.

        Raises:
            DataUnavailable: try again later.
        """
        ...

    def store(self, records: Sequence[JournalRecord]) -> Stored:
        """Store all or none, on the disk of the database; twice has the effect of once.

        Raises:
            DataUnavailable: try again later.
            RowRefused: at least one record will never be taken.
        """
        ...


class DatabaseSink:
    """Stores through the writer both services share; makes the tables first if need be."""

    def __init__(
        self,
        engine: Engine,
        cache_kib: int | None = None,
        records: RecordFormat = DEFAULT_FORMAT,
    ) -> None:
        """Takes over an engine; `cache_kib` is the most memory SQLite uses for its indexes.

        From here on this engine commits durably: the journal forgets what was stored.
        """
        commit_durably(engine)
        self._engine = engine
        self._format = records
        self._names = DatabaseNames(engine)
        self._cache_kib = cache_kib
        self._file = file_of(engine)
        # The SQLite file whose tables are up to date; for PostgreSQL any value but None.
        self._ready_in: object = None

    def prepare(self) -> None:
        """Bring the tables up to date, once for each file and once after each failure."""
        if self._ready_in is None or self._ready_in != self._place():
            self._format.rows.prepare(self._engine)
            self._ready_in = self._place()

    def _place(self) -> object:
        return True if self._file is None else self._file.look()

    def store(self, records: Sequence[JournalRecord]) -> Stored:
        self.prepare()
        stored = Stored()
        with (
            self._failures(),
            database_errors("store decisions"),
            _refusals(),
            lasting_transaction(self._engine) as connection,
        ):
            if self._cache_kib is not None:
                prepare_for_bulk(connection, self._cache_kib)
            insist_on_durable_commit(connection)
            # Consecutive records of one kind in one statement: a label never precedes its decision.
            for kind, part in groupby(records, key=type):
                if kind is Label:
                    self._store_labels(connection, cast(list[Label], list(part)), stored)
                elif kind is QuarantinedLogRow:
                    self._quarantine(connection, cast(list[LogRow], list(part)), stored)
                else:
                    self._store_rows(connection, cast(list[LogRow], list(part)), stored)
        self._names.sync()
        return stored

    def _store_rows(self, connection: Connection, rows: Sequence[LogRow], stored: Stored) -> None:
        new = self._format.rows.write_decisions(connection, self._format.columns, rows)
        stored.new += new
        if new < len(rows):
            stored.superseded.extend(self._superseded(connection, rows, quarantined=False))
        stored.transaction_ids.extend(map(itemgetter(0), rows))

    def _quarantine(self, connection: Connection, rows: Sequence[LogRow], stored: Stored) -> None:
        new = self._format.rows.write_quarantined(connection, self._format.columns, rows)
        stored.new += new
        if new < len(rows):
            stored.superseded.extend(self._superseded(connection, rows, quarantined=True))
        stored.quarantined_ids.extend(map(itemgetter(0), rows))

    def _superseded(
        self, connection: Connection, rows: Sequence[LogRow], *, quarantined: bool
    ) -> list[str]:
        """Keys of rows that the database has otherwise; those it has from here are the same."""
        table = self._format.rows.decided(quarantined=quarantined)
        columns = self._format.columns
        ids = [row[0] for row in rows]
        query = select(*(table.c[name] for name in (columns[0], *_IDENTITY))).where(
            among(connection, table, ids, columns[0])
        )
        found = {key: tuple(values) for key, *values in connection.execute(query)}
        own = itemgetter(*map(columns.index, _IDENTITY))
        return [key_of(row) for row in rows if found.get(row[0], own(row)) != own(row)]

    def _store_labels(
        self, connection: Connection, labels: Sequence[Label], stored: Stored
    ) -> None:
        known = set(self._format.rows.store_labels(connection, labels).ids)
        for label in labels:
            kind = stored.labels if label.transaction_id in known else stored.unknown_labels
            kind.append(label)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Rechecks the tables after a failure: the database may have been recreated."""
        try:
            yield
        except DataUnavailable:
            self._ready_in = None
            raise


@contextmanager
def _refusals() -> Iterator[None]:
    """Errors of the rows themselves, as opposed to those of the database's state."""
    try:
        yield
    except (DataError, IntegrityError, ValueError, TypeError, OverflowError) as error:
        raise RowRefused(str(getattr(error, "orig", None) or error)) from error
