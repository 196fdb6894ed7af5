"""Two ways to run a reading statement: straight through sqlite3, or through the engine's pool.

SQLAlchemy costs 100 us a statement and more; a window of history from SQLite costs 90 us.
So SQLite is read through a connection a thread keeps, with statements compiled once.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import DataUnavailable
from shared.features.reader import Fetch, PriorRow, Statement

# A reader waits for nobody in WAL mode; what blocks it longer is worth going on without.
_BUSY_TIMEOUT_MS = 250


def fetch_from(engine: Engine) -> Fetch:
    """The fastest way to read this database; opens no connection yet."""
    if engine.dialect.name == "sqlite" and engine.url.database not in {None, "", ":memory:"}:
        return SqliteFetch(engine)
    return PooledFetch(engine)


class PooledFetch:
    """Borrows a connection for each statement; for PostgreSQL and for SQLite in memory."""

    def __init__(self, engine: Engine) -> None:
        # no BEGIN and ROLLBACK around a single SELECT
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    def __call__(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[PriorRow]:
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.execute(statement, parameters)]
        except SQLAlchemyError as error:
            raise DataUnavailable(f"history cannot be read: {error}") from error


class SqliteFetch:
    """Keeps one connection a thread, with the pragmas the engine gives it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = threading.local()
        self._dialect = sqlite.dialect(paramstyle="named")
        self._texts: dict[int, str] = {}

    def __call__(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[PriorRow]:
        try:
            connection = self._connection()
            return connection.execute(self._text(statement), parameters).fetchall()
        except (sqlite3.Error, SQLAlchemyError) as error:
            self._thread.__dict__.clear()
            raise DataUnavailable(f"history cannot be read: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._thread, "raw"):
            borrowed: PoolProxiedConnection = self._engine.raw_connection()
            raw = cast(sqlite3.Connection, borrowed.driver_connection)
            borrowed.detach()
            raw.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            raw.execute("PRAGMA query_only = ON")
            # the proxy closes the connection when it goes, so it must stay as long
            self._thread.borrowed, self._thread.raw = borrowed, raw
        return cast(sqlite3.Connection, self._thread.raw)

    def _text(self, statement: Statement) -> str:
        text = self._texts.get(id(statement))
        if text is None:
            text = str(statement.compile(dialect=self._dialect))
            self._texts[id(statement)] = text
        return text
