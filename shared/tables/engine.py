"""One way into the database: an engine with sane limits, and a schema that is up to date."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from shared.errors import DataUnavailable, SettingsError
from shared.tables.sqlite_file import SqliteFile, changing
from shared.tables.storage_place import make_folder, sqlite_path
from shared.tables.url import parse_database_url

BUSY_TIMEOUT_SECONDS = 15
CONNECT_TIMEOUT_SECONDS = 5
# More than all threads of a service together, so that no thread waits for a connection;
# opened on demand, and closed again beyond the first five.
MOST_CONNECTIONS = 45
LOCK_TIMEOUT_SECONDS = 60
POOL_TIMEOUT_SECONDS = 30.0
STATEMENT_TIMEOUT_SECONDS = 300
BULK_CACHE_KIB = 256 * 1024
# 32 MiB of WAL, eight times SQLite's default: most pages of a busy table are rewritten many
# times, and are copied into the database file only once.
CHECKPOINT_PAGES = 8_000
# An arbitrary key that no other program uses for an advisory lock in this database.
MIGRATION_LOCK = 0x756E6465
# Key of the file in the info of a connection and of its engine.
_FILE = "sqlite_file"
_IDLE_SINCE = "idle_since"
_TRUSTED_SECONDS = 1.0
_OPENING_ATTEMPTS = 3
_OPENER = "postgresql_opener"
_SERVERS_SHARE = 0.8
# Timeouts that detect a vanished peer in seconds instead of hours.
_PATIENCE = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
MIGRATIONS = Path(__file__).parent / "migrations"


def connect(
    database_url: str, statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS
) -> Engine:
    """An engine for SQLite or PostgreSQL; opens no connection yet.

    Raises:
        SettingsError: the URL does not parse or names another database.
    """
    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    return _postgresql_engine(url, statement_timeout_seconds, None)


def connect_for_reading(engine: Engine, deadline_seconds: float) -> Engine:
    """The engine for requests, with a limit of time a read; for SQLite the engine itself.

    Its connections are separate: a writer that waits for a lock does not block readers.
    """
    if engine.dialect.name == "sqlite":
        return engine
    # The server's timeout comes first, so that the connection can be reused.
    return _postgresql_engine(engine.url, deadline_seconds * _SERVERS_SHARE, deadline_seconds)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version; safe when several processes start at once.

    Raises:
        SettingsError: the database was migrated by a newer version of this program.
        DataUnavailable: the database cannot be reached.
    """
    if _has_nothing_to_do(engine):
        return
    with (
        database_errors("migrate the database"),
        _migration_lock(engine),
        lasting_transaction(engine) as link,
    ):
        _begin_migration(link)
        _upgrade(link)


def migrate_to(connection: Connection, revision: str) -> None:
    """Make the tables of one version of the schema, for data that was written with it.

    Raises:
        SettingsError: this program does not know that version.
    """
    _begin_migration(connection)
    _upgrade(connection, revision)


def _begin_migration(connection: Connection) -> None:
    """All of a migration or nothing of it, and one process at a time."""
    if connection.dialect.name == "postgresql":
        query = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(query, {"key": MIGRATION_LOCK})
        return
    # Python's sqlite3 opens a transaction before INSERT and the like, but not before DDL.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Turn what the driver raises into DataUnavailable that says what was being done."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        cause = getattr(error, "orig", None) or error
        raise DataUnavailable(f"could not {doing}: {str(cause).strip()}") from error


def _sqlite_engine(url: URL) -> Engine:
    path = sqlite_path(url)
    # IMMEDIATE: a transaction that writes takes the write lock at once and waits for it,
    # instead of failing later when another process has written meanwhile.
    engine = create_engine(
        url,
        json_serializer=to_json,
        max_overflow=MOST_CONNECTIONS,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "isolation_level": "IMMEDIATE"},
    )
    if path is None:
        event.listen(engine, "connect", _set_pragmas)
        return engine
    make_folder(Path(path))
    return _following(engine, SqliteFile(path))


def _following(engine: Engine, file: SqliteFile) -> Engine:
    """Connections that are used for as long as the name means the file that they opened."""

    @event.listens_for(engine, "do_connect")
    def connect_to_the_file(
        dialect: Dialect, record: ConnectionPoolEntry, arguments: Any, parameters: Any
    ) -> Any:
        for _ in range(_OPENING_ATTEMPTS):
            before = file.prepare()
            raw = dialect.connect(*arguments, **parameters)
            _set_pragmas(raw, record)
            # Opens the write-ahead log of this file, before the file can be replaced.
            raw.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            if file.opened(before):
                record.info[_FILE] = before
                return raw
            raw.close()
        raise sqlite3.OperationalError("the database file is being replaced")

    @event.listens_for(engine, "checkout")
    def check(_raw: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info.get(_FILE) != file.look():
            raise InvalidatePoolError("the database file was removed or replaced")

    engine.update_execution_options(**{_FILE: file})
    return engine


def file_of(engine: Engine) -> SqliteFile | None:
    """The file behind an engine that `connect` made; None: it is not one of SQLite's."""
    file: SqliteFile | None = engine.get_execution_options().get(_FILE)
    return file


@contextmanager
def lasting_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that fails if its database file was removed or replaced meanwhile.

    Raises:
        DataUnavailable: the database file was removed or replaced meanwhile.
    """
    with engine.begin() as connection:
        opened = connection.info.get(_FILE)
        yield connection
    file = file_of(engine)
    if file is not None and file.look() != opened:
        raise DataUnavailable("the database file was removed or replaced meanwhile")


def _postgresql_engine(
    url: URL, statement_timeout_seconds: float, read_seconds: float | None
) -> Engine:
    from shared.tables.postgresql import Opener  # noqa: PLC0415 - tens of MiB, for PostgreSQL only

    limits_ms = {
        "statement_timeout": round(statement_timeout_seconds * 1_000),
        "lock_timeout": LOCK_TIMEOUT_SECONDS * 1_000,
        "idle_in_transaction_session_timeout": max(round(statement_timeout_seconds * 1_000), 5_000),
    }
    engine = create_engine(
        url,
        json_serializer=to_json,
        pool_timeout=POOL_TIMEOUT_SECONDS if read_seconds is None else read_seconds,
        connect_args={name: value for name, value in _PATIENCE.items() if name not in url.query},
    )
    opener = Opener(limits_ms)
    opener.follow(engine)
    _ask_after_a_pause(engine)
    engine.update_execution_options(**{_OPENER: opener})
    return engine


def _ask_after_a_pause(engine: Engine) -> None:
    """Checks that a connection lives only after it was idle: a round trip less otherwise."""

    @event.listens_for(engine, "checkin")
    def checkin(_raw: object, record: ConnectionPoolEntry) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def checkout(raw: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        idle_since = record.info.get(_IDLE_SINCE)
        if idle_since is None or time.monotonic() - idle_since < _TRUSTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(raw)
        except engine.dialect.loaded_dbapi.Error as error:
            # The pool opens a new connection.
            raise DisconnectionError("the connection died while it was idle") from error


def is_behind_pooler(engine: Engine) -> bool:
    """True if the newest connection passed through a pooler, which keeps transactions only."""
    opener = engine.get_execution_options().get(_OPENER)
    return opener is not None and bool(opener.is_pooled)


def prepare_for_bulk(connection: Connection, cache_kib: int = BULK_CACHE_KIB) -> None:
    """Give a connection that writes very many rows room to keep the indexes in memory."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size = -{cache_kib}")


_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "foreign_keys = ON",
    f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
)


def _set_pragmas(connection: Any, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def to_json(value: Any) -> str:
    """JSON that both databases accept: NaN and infinities become null."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, option=options).decode()


def _migration_lock(engine: Engine) -> AbstractContextManager[object]:
    path = sqlite_path(engine.url)
    return nullcontext() if path is None else changing(path)


def is_current(engine: Engine) -> bool:
    """True if the tables are those of this version.

    Raises:
        DataUnavailable: the database cannot be reached.
    """
    newest = max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v*.py"))
    with database_errors("ask the database"), engine.connect() as connection:
        # Checked first: a statement on a missing table would look like any other error.
        if not inspect(connection).has_table("alembic_version"):
            return False
        applied = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return bool(applied == newest)


def _has_nothing_to_do(engine: Engine) -> bool:
    """Spares a start the time and the memory of Alembic."""
    try:
        return is_current(engine)
    except DataUnavailable:  # the migration below reports the reason
        return False


def _upgrade(connection: Connection, revision: str = "head") -> None:
    # Importing Alembic takes 0.2 s: done only by a process that migrates.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise SettingsError(
            f"the database does not fit this version of the program ({error}); "
            "install the version that migrated it, or point DATABASE_URL elsewhere"
        ) from error
