"""Ways to run a reading statement: straight through the driver, or through the engine's pool.

SQLAlchemy costs 100 us a statement and more, with a round trip to see whether the connection lives;
a window of history from SQLite costs 90 us. So both databases are read through a connection that a
thread keeps, with statements compiled once, and on PostgreSQL prepared by the server.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Engine, event
from sqlalchemy.dialects import sqlite

from native.catalogue import WAL_INDEX
from native.parts import Part
from native.sqlite_library import LIBRARY, SqliteConnection, SqliteError
from native.wal_index import UnknownFormat, WalIndex
from shared.errors import DataUnavailable
from shared.features.reader import Fetch, PriorRow, Statement
from shared.tables.engine import database_errors, file_of, is_behind_pooler
from shared.tables.reads import ends_at
from shared.tables.sqlite_file import SqliteFile

# In WAL mode readers do not wait for writers; after this a row is scored without history.
_BUSY_TIMEOUT_MS = 250


Answer = TypeVar("Answer")


def fetch_from(engine: Engine) -> Fetch:
    """The fastest way to read this database; opens no connection yet."""
    if is_sqlite_file(engine):
        return SqliteFetch(engine)
    return PostgresFetch(engine) if engine.dialect.name == "postgresql" else PooledFetch(engine)


def is_sqlite_file(engine: Engine) -> bool:
    """True if another connection to the same path sees the same data; False for a URI."""
    database = engine.url.database or ":memory:"
    return engine.dialect.name == "sqlite" and not database.startswith((":memory:", "file:"))


class PooledFetch:
    """Borrows a connection for each statement; for SQLite in memory, and through a pooler."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # autocommit: no BEGIN and ROLLBACK around a single SELECT
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")

    def __call__(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[PriorRow]:
        end = ends_at()
        if end is not None and time.monotonic() >= end:
            raise DataUnavailable("could not read history in time")
        # Behind a connection pooler, timeouts can only be set within a transaction.
        engine = self._engine if is_behind_pooler(self._engine) else self._alone
        with database_errors("read history"), engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement, parameters)]


class PostgresFetch:
    """Keeps one connection a thread; one that died while it was idle is replaced at once.

    Through a pooler each statement borrows a connection, where nothing is prepared.

    Attributes:
        connections: grows with each that was made: what was known may be of another server.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pooled = PooledFetch(engine)
        self._thread = threading.local()
        self._texts: dict[Statement, tuple[str, dict[str, Any]]] = {}
        self.connections = 0
        self._open: set[Any] = set()
        event.listen(engine, "engine_disposed", self._close_all)

    def __call__(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[PriorRow]:
        if is_behind_pooler(self._engine):
            return self._pooled(statement, parameters)
        text, constants = self._texts.get(statement) or self._compiled(statement)
        return self.rows(text, {**constants, **parameters})

    def rows(self, text: str, parameters: Mapping[str, Any]) -> Sequence[PriorRow]:
        """The rows of a statement in psycopg's form, through a pooler too.

        Raises:
            DataUnavailable: the database cannot be read now.
        """
        return self._guarded(lambda: self._run(text, parameters))

    def _guarded(self, ask: Callable[[], Answer]) -> Answer:
        """Ask, and once more on a new connection where the old one died while it was idle."""
        import psycopg  # noqa: PLC0415 - tens of MiB, for PostgreSQL only

        end = ends_at()
        if end is not None and time.monotonic() >= end:
            raise DataUnavailable("could not read history in time")
        was_kept = hasattr(self._thread, "raw")
        try:
            return ask()
        except psycopg.OperationalError as error:
            is_dead = self._forget()
            if not (was_kept and is_dead):
                raise DataUnavailable(f"could not read history: {error}") from error
        except psycopg.Error as error:
            self._forget()
            raise DataUnavailable(f"could not read history: {error}") from error
        try:
            return ask()
        except psycopg.Error as error:
            self._forget()
            raise DataUnavailable(f"could not read history: {error}") from error

    def _run(self, text: str, parameters: Mapping[str, Any]) -> Sequence[PriorRow]:
        connection = self._connection()
        if is_behind_pooler(self._engine):
            return self._limited(connection, text, parameters)
        rows = connection.execute(text, parameters, prepare=True, binary=True).fetchall()
        return cast(Sequence[PriorRow], rows)

    def _limited(
        self, connection: Any, text: str, parameters: Mapping[str, Any]
    ) -> Sequence[PriorRow]:
        """The same behind a pooler: its limits go with it, in one transaction and round trip."""
        from shared.tables.postgresql import settings_call  # noqa: PLC0415 - imports psycopg

        limits, values = settings_call(self._thread.borrowed.info)
        with connection.pipeline():
            connection.execute(limits, values)
            cursor = connection.execute(text, parameters, binary=True)
            return cast(Sequence[PriorRow], cursor.fetchall())

    def _connection(self) -> Any:
        try:
            return self._thread.raw
        except AttributeError:
            return self._connect()

    def _connect(self) -> Any:
        with database_errors("open the database to read history"):
            borrowed = self._engine.raw_connection()
        raw: Any = borrowed.driver_connection
        borrowed.detach()
        raw.autocommit = True
        if not is_behind_pooler(self._engine):
            # A custom plan costs more than it saves: rows are looked up by their key.
            raw.execute("SET plan_cache_mode = force_generic_plan")
        self._open.add(raw)
        self._thread.borrowed, self._thread.raw = borrowed, raw
        self.connections += 1
        return raw

    def _forget(self) -> bool:
        """Start over with the next question; whether the connection had broken."""
        raw = self._thread.__dict__.pop("raw", None)
        self._thread.__dict__.pop("borrowed", None)
        if raw is None:
            return False
        is_dead = bool(raw.closed)
        raw.close()
        self._open.discard(raw)
        return is_dead

    def _close_all(self, _engine: Engine) -> None:
        while self._open:
            self._open.pop().close()

    def _compiled(self, statement: Statement) -> tuple[str, dict[str, Any]]:
        compiled = statement.compile(dialect=self._engine.dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        found = self._texts[statement] = str(compiled), constants
        return found


class SqliteFetch:
    """Keeps one connection a thread, with the pragmas the engine gives it."""

    def __init__(self, engine: Engine, wal_index: Part = WAL_INDEX) -> None:
        self._engine = engine
        self._wal_index_part = wal_index
        self._file = file_of(engine) or SqliteFile(str(engine.url.database))
        self._thread = threading.local()
        self._dialect = sqlite.dialect(paramstyle="named")
        self._texts: dict[Statement, tuple[str, dict[str, Any]]] = {}

    @property
    def generation(self) -> int:
        """Grows when the name of the database turned out to mean another file."""
        return self._file.generation

    def __call__(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[PriorRow]:
        self._keep_up()
        text, constants = self._texts.get(statement) or self._compiled(statement)
        if constants:
            parameters = {**constants, **parameters}
        try:
            return self._connection().execute(text, parameters).fetchall()
        except sqlite3.ProgrammingError:  # a programming error, not an unavailable database
            raise
        except sqlite3.Error as error:
            self._forget()
            raise DataUnavailable(f"could not read history: {error}") from error

    def changed(self) -> bool:
        """True if another connection has committed since this thread's last call; true at first.

        Raises:
            DataUnavailable: the database cannot be read now.
        """
        self._keep_up()
        try:
            index: WalIndex | None = self._thread.index
        except AttributeError:
            index = self._thread.index = self._wal_index()
        return self._version_changed() if index is None else index.changed()

    def _wal_index(self) -> WalIndex | None:
        if LIBRARY is None or not self._wal_index_part.in_use:
            return None
        try:
            return WalIndex(SqliteConnection(LIBRARY, str(self._engine.url.database)))
        except SqliteError as error:
            raise DataUnavailable(f"could not read history: {error}") from error
        except UnknownFormat as error:
            self._wal_index_part.fall_back(str(error))
            return None
        except OSError:
            return None

    def _version_changed(self) -> bool:
        try:
            (version,) = self._connection().execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            self._forget()
            raise DataUnavailable(f"could not read history: {error}") from error
        before = getattr(self._thread, "version", None)
        self._thread.version = version
        return bool(version != before)

    def _connection(self) -> sqlite3.Connection:
        try:
            return cast(sqlite3.Connection, self._thread.raw)
        except AttributeError:
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        with database_errors("open the database to read history"):
            borrowed = self._engine.raw_connection()
        raw = cast(sqlite3.Connection, borrowed.driver_connection)
        borrowed.detach()
        raw.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        raw.execute("PRAGMA query_only = ON")
        # keep the proxy alive: it closes the connection when it is garbage-collected
        self._thread.borrowed, self._thread.raw = borrowed, raw
        return raw

    def _keep_up(self) -> None:
        """Let go of a file that was removed or replaced."""
        generation = self._file.generation
        if self._thread.__dict__.get("generation") != generation:
            self._forget()
            self._thread.generation = generation

    def _forget(self) -> None:
        """Start over with the next question."""
        self._thread.__dict__.clear()

    def _compiled(self, statement: Statement) -> tuple[str, dict[str, Any]]:
        compiled = statement.compile(dialect=self._dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        found = self._texts[statement] = str(compiled), constants
        return found
