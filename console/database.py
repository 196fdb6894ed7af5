"""The database, for reading alone: short queries, each with a limit of time.

SQLite is opened with `mode=ro`, and PostgreSQL is told that transactions are read-only, so no
fault of a page can change a row. Nothing is created or migrated here.
"""

import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from shared.errors import DataUnavailable
from shared.tables.engine import connect
from shared.tables.storage_place import sqlite_path
from shared.tables.url import parse_database_url

T = TypeVar("T")
_OTHER_RELEASE = (
    "the tables are those of another release: start API and scheduler of the same release as the "
    "console"
)
# Wait of a reader while another process locks the whole file, as some copies do.
_LOCKED_SECONDS = 0.5
# Opcodes of SQLite's virtual machine between two checks of the deadline.
_STEPS = 20_000
_CACHE_KIB = 4_096


class ReadOnlyDatabase:
    """Answers queries within `timeout_seconds`, or says why not."""

    def __init__(self, database_url: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._is_sqlite = parse_database_url(database_url).get_backend_name() == "sqlite"
        self._engine = (
            _sqlite_reader(database_url)
            if self._is_sqlite
            else _postgresql_reader(database_url, timeout_seconds)
        )

    def read(self, query: Callable[[Connection], T]) -> T:
        """The result of a query.

        Raises:
            DataUnavailable: the database is away, locked or slower than the limit.
        """
        try:
            with self._engine.connect() as connection:
                if self._is_sqlite:
                    _limit(connection, self._timeout_seconds)
                return query(connection)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise DataUnavailable(_explain(error, self._timeout_seconds)) from error

    def close(self) -> None:
        self._engine.dispose()


def _sqlite_reader(database_url: str) -> Engine:
    path = sqlite_path(parse_database_url(database_url)) or ":memory:"
    address = f"file:{quote(path)}?mode=ro"

    def open_read_only() -> sqlite3.Connection:
        raw = sqlite3.connect(address, uri=True, timeout=_LOCKED_SECONDS, check_same_thread=False)
        raw.execute("PRAGMA query_only = ON")
        raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return raw

    # One connection for each read, so that a replaced file is noticed.
    return create_engine("sqlite://", creator=open_read_only, poolclass=NullPool)


def _limit(connection: Connection, seconds: float) -> None:
    """Interrupt what takes longer."""
    ends_at = time.monotonic() + seconds
    raw: Any = connection.connection.driver_connection
    raw.set_progress_handler(lambda: int(time.monotonic() > ends_at), _STEPS)


def _postgresql_reader(database_url: str, seconds: float) -> Engine:
    engine = connect(database_url, statement_timeout_seconds=seconds)

    @event.listens_for(engine, "begin")
    def read_only(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    return engine


def _explain(error: Exception, seconds: float) -> str:
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    if isinstance(error, DBAPIError) and ("interrupted" in cause or "statement timeout" in cause):
        return f"the database did not answer within {seconds:g} s"
    if "locked" in cause:
        return "the database is locked by another process"
    if "unable to open" in cause:
        return "the database file is not there, or cannot be read"
    if "no such table" in cause or "does not exist" in cause:
        return "the database has no such tables yet; the API or the scheduler makes them"
    if "no such column" in cause or "UndefinedColumn" in type(error.__cause__).__name__:
        return _OTHER_RELEASE
    return "the database cannot be read"
