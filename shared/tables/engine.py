"""One way into the database: an engine with sane limits, and a schema that is up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from shared.errors import DataUnavailable, SettingsError
from shared.tables.storage_place import make_folder, sqlite_path
from shared.tables.url import parse_database_url

BUSY_TIMEOUT_SECONDS = 15
CONNECT_TIMEOUT_SECONDS = 5
# More than all threads of a service together, so that none waits for another's connection;
# opened when they are needed, and closed again beyond the first five.
MOST_CONNECTIONS = 45
LOCK_TIMEOUT_SECONDS = 60
STATEMENT_TIMEOUT_SECONDS = 300
BULK_CACHE_KIB = 256 * 1024
# 32 MiB of WAL, eight times SQLite's own bound: most pages of a busy log are written again and
# again, and go into the database file once for all that.
CHECKPOINT_PAGES = 8_000
# Any number will do as long as nobody else in this database uses it.
MIGRATION_LOCK = 0x756E6465
MIGRATIONS = Path(__file__).parent / "migrations"


def connect(
    database_url: str, statement_timeout_seconds: int = STATEMENT_TIMEOUT_SECONDS
) -> Engine:
    """An engine for SQLite or PostgreSQL; opens no connection yet.

    Raises:
        SettingsError: the URL does not parse or names another database.
    """
    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    return _postgresql_engine(url, statement_timeout_seconds)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version; safe when several processes start at once.

    Raises:
        SettingsError: the database was migrated by a newer version of this program.
        DataUnavailable: the database cannot be reached.
    """
    if _is_current(engine):
        return
    with database_errors("migrate the database"), _migration_lock(engine), engine.begin() as link:
        _begin_migration(link)
        _upgrade(link)


def _begin_migration(connection: Connection) -> None:
    """All of a migration or nothing of it, and one process at a time."""
    if connection.dialect.name == "postgresql":
        query = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(query, {"key": MIGRATION_LOCK})
        return
    # Python's sqlite3 opens a transaction before rows are written, but not before a table is made.
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
    if path is not None:
        make_folder(Path(path))
    # IMMEDIATE: a transaction that writes takes the write lock at once and waits for it,
    # instead of failing half-way when another process wrote in between.
    engine = create_engine(
        url,
        json_serializer=to_json,
        max_overflow=MOST_CONNECTIONS,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "isolation_level": "IMMEDIATE"},
    )
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _postgresql_engine(url: URL, statement_timeout_seconds: int) -> Engine:
    limits = {
        "statement_timeout": statement_timeout_seconds * 1_000,
        "lock_timeout": LOCK_TIMEOUT_SECONDS * 1_000,
        "idle_in_transaction_session_timeout": statement_timeout_seconds * 1_000,
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        json_serializer=to_json,
        pool_pre_ping=True,
        max_overflow=MOST_CONNECTIONS,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "options": options},
    )


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


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    """SQLite has no lock that outlives a schema change, so a file beside it stands in."""
    path = sqlite_path(engine.url)
    if path is None:
        yield
        return
    with FileLock(f"{path}.migration-lock", timeout=LOCK_TIMEOUT_SECONDS):
        yield


def _is_current(engine: Engine) -> bool:
    """Whether there is nothing to do: spares a start the time and the memory of Alembic."""
    newest = max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v*.py"))
    try:
        with engine.connect() as connection:
            applied = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return bool(applied == newest)
    except DBAPIError:  # no such table, or no database: the long way says which
        return False


def _upgrade(connection: Connection) -> None:
    # Alembic costs a fifth of a second to import; only a process that migrates pays.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError(
            f"the database does not fit this version of the program ({error}); "
            "install the version that migrated it, or point DATABASE_URL elsewhere"
        ) from error
