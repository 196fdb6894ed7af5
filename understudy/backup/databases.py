"""Consistent copies of a database that is in use: SQLite by its backup API, PostgreSQL by COPY.

PostgreSQL is copied table by table in one REPEATABLE READ transaction, which needs no program of
the server's version beside this one. Tables of other programs in the same database are left alone.
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import orjson
from sqlalchemy import Connection, Engine, MetaData, Table, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from shared.clock import wall_ns
from shared.errors import DataUnavailable
from shared.system.files import TEMPORARY_PREFIX, move, sync_path
from shared.tables.engine import MIGRATIONS, connect, database_errors, migrate_to
from shared.tables.schema import metadata
from shared.tables.storage_place import make_folder, sqlite_path
from understudy.backup.archive import Archive, ArchiveRefused, ArchiveWriter

SQLITE_MEMBER = "database/understudy.db"
TABLES_MEMBER = "database/tables.json"
_VERSION_TABLE = "alembic_version"
# The server's id of the transaction that stored a row: left out, since each server has its own.
_TRANSACTION = "xact"
# Tables of a declared use case (shared/rows/tables.py).
_DECLARED = re.compile(r"[a-z][a-z0-9_]*_v[0-9]+_(rows|decisions|quarantined|label_changes)")
_BESIDE = ("", "-wal", "-shm", "-journal")
_COPY_SECONDS = 6 * 3_600
_BUSY_SECONDS = 30
_PIECE_BYTES = 1024 * 1024


class DatabaseCopy(Protocol):
    """One database, to copy or to fill."""

    kind: Literal["sqlite", "postgresql"]

    def copy_into(self, writer: ArchiveWriter, beside: Path) -> str:
        """Add a consistent copy to an archive; the revision of its schema.

        `beside`: a folder with room for temporary files.
        """
        ...

    def content(self) -> list[str]:
        """The content in words; empty if there is none."""
        ...

    def stage(self, archive: Archive) -> None:
        """Does the part of the work that changes nothing yet."""
        ...

    def put(self, aside: str) -> None:
        """Take the copy into service; what was there goes to a folder of this name."""
        ...

    def discard(self) -> None:
        """Remove what was staged and not put in place."""
        ...


def database_of(database_url: str) -> DatabaseCopy:
    """The database of the settings.

    Raises:
        ArchiveRefused: it is not a file and no server.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        return PostgresqlDatabase(url)
    path = sqlite_path(url)
    if path is None:
        raise ArchiveRefused("DATABASE_URL: name the file of the database by its path")
    return SqliteDatabase(Path(path))


def check_revision(revision: str | None) -> None:
    """Refuse a schema that this version does not know.

    Raises:
        ArchiveRefused: it was made by a newer version.
    """
    known = {path.name[1:5] for path in (MIGRATIONS / "versions").glob("v*.py")}
    if revision not in known:
        raise ArchiveRefused(
            f"the archive's database has schema {revision}, which this version does not know; "
            "install the version that made it"
        )


class SqliteDatabase:
    """A file; copied page by page in one read transaction, while others write."""

    kind: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._staged: Path | None = None

    def copy_into(self, writer: ArchiveWriter, beside: Path) -> str:
        """See `DatabaseCopy`.

        Raises:
            DataUnavailable: there is no database, or it cannot be read.
            ArchiveRefused: it is damaged.
        """
        if not self._path.is_file():
            raise DataUnavailable(f"DATABASE_URL: there is no database {self._path}")
        copy = beside / f"{TEMPORARY_PREFIX}database-{wall_ns()}"
        try:
            revision = self._copy_to(copy)
            with copy.open("rb") as file:
                writer.copy(SQLITE_MEMBER, file, copy.stat().st_size)
        except sqlite3.Error as error:
            raise DataUnavailable(f"could not copy {self._path}: {error}") from error
        finally:
            for ending in _BESIDE:
                Path(f"{copy}{ending}").unlink(missing_ok=True)
        return revision

    def content(self) -> list[str]:
        return [str(self._path)] if self._path.exists() and self._path.stat().st_size else []

    def stage(self, archive: Archive) -> None:
        make_folder(self._path)
        self._staged = self._path.with_name(f"{TEMPORARY_PREFIX}{self._path.name}-{wall_ns()}")
        [member] = archive.manifest.below("database")
        archive.extract(member, self._staged)

    def put(self, aside: str) -> None:
        found = [path for path in self._beside() if path.exists()]
        if found:
            folder = self._path.parent / aside
            folder.mkdir(exist_ok=True)
            for path in found:
                move(path, folder / path.name)
        if self._staged is not None:
            move(self._staged, self._path)
            self._staged = None

    def discard(self) -> None:
        if self._staged is not None:
            self._staged.unlink(missing_ok=True)

    def _beside(self) -> list[Path]:
        return [self._path.with_name(self._path.name + ending) for ending in _BESIDE]

    def _copy_to(self, copy: Path) -> str:
        with (
            contextlib.closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            copy.chmod(0o600)
            # All pages in one step: otherwise every write of another process restarts the copy.
            source.backup(target, pages=-1)
            target.execute("PRAGMA journal_mode = DELETE")
            [found] = target.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise ArchiveRefused(f"{self._path} is damaged ({found}); it was not backed up")
            revision = target.execute(f"SELECT version_num FROM {_VERSION_TABLE}").fetchone()  # noqa: S608
        sync_path(copy)
        return str(revision[0])


class PostgresqlDatabase:
    """The tables of this program in one database of a server."""

    kind: Literal["sqlite", "postgresql"] = "postgresql"

    def __init__(self, url: URL) -> None:
        self._url = url.render_as_string(hide_password=False)
        self._archive: Archive | None = None

    def copy_into(self, writer: ArchiveWriter, beside: Path) -> str:  # noqa: ARG002
        """See `DatabaseCopy`.

        Raises:
            DataUnavailable: the server is away, or holds no tables of this program.
        """
        with self._engine() as engine, database_errors("copy the database"):
            snapshot = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            with snapshot.begin() as connection:
                tables = _our_tables(connection)
                if not any(table.name == _VERSION_TABLE for table in tables):
                    raise DataUnavailable("DATABASE_URL: the database holds no tables of ours")
                for table in tables:
                    _copy_out(connection, table, writer)
                revision = connection.scalar(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
                described = [_description(connection, table) for table in tables]
        with writer.member(TABLES_MEMBER) as member:
            member.write(orjson.dumps(described))
        return str(revision)

    def content(self) -> list[str]:
        with (
            self._engine() as engine,
            database_errors("look at the database"),
            engine.connect() as connection,
        ):
            names = [table.name for table in _our_tables(connection)]
        return [f"tables {', '.join(names)}"] if names else []

    def stage(self, archive: Archive) -> None:
        self._archive = archive

    def put(self, aside: str) -> None:  # noqa: ARG002
        """All in one transaction: the tables that are there are replaced, or stay."""
        archive = self._archive
        if archive is None:
            return
        with self._engine() as engine, database_errors("fill the database"), engine.begin() as link:
            present = _our_tables(link)
            if present:
                present[0].metadata.drop_all(link, present)
            migrate_to(link, str(archive.manifest.revision))
            _fill(link, archive)

    def discard(self) -> None:
        self._archive = None

    @contextlib.contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = connect(self._url, statement_timeout_seconds=_COPY_SECONDS)
        try:
            yield engine
        finally:
            engine.dispose()


def _our_tables(connection: Connection) -> list[Table]:
    """Tables of this program, each after those that it refers to."""
    names = {name for name in inspect(connection).get_table_names() if _is_ours(name)}
    found = MetaData()
    found.reflect(connection, only=sorted(names))
    return found.sorted_tables


def _is_ours(name: str) -> bool:
    return name in metadata.tables or name == _VERSION_TABLE or bool(_DECLARED.fullmatch(name))


def _columns(connection: Connection, table: Table) -> str:
    quote = connection.dialect.identifier_preparer.quote
    names = (column.name for column in table.columns if column.name != _TRANSACTION)
    return ", ".join(map(quote, names))


def _raw(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _copy_out(connection: Connection, table: Table, writer: ArchiveWriter) -> None:
    name = connection.dialect.identifier_preparer.format_table(table)
    ask = f"COPY {name} ({_columns(connection, table)}) TO STDOUT"
    with (
        writer.member(f"database/{table.name}.copy") as member,
        _raw(connection).cursor() as cursor,
        cursor.copy(ask) as rows,
    ):
        for piece in rows:
            member.write(piece)


def _description(connection: Connection, table: Table) -> dict[str, Any]:
    """The data a restore needs of a table beside its rows; DDL for tables without a migration."""
    ddl: list[str] = []
    if _DECLARED.fullmatch(table.name) and table.name not in metadata.tables:
        making: list[ExecutableDDLElement] = [CreateTable(table)]
        making += map(CreateIndex, sorted(table.indexes, key=str))
        ddl = [str(one.compile(dialect=connection.dialect)) for one in making]
    return {"name": table.name, "columns": [c.name for c in table.columns], "ddl": ddl}


def _fill(connection: Connection, archive: Archive) -> None:
    member = next(one for one in archive.manifest.files if one.path == TABLES_MEMBER)
    with archive.reading(member) as file:
        described = orjson.loads(file.read())
    for one in described:
        for statement in one["ddl"]:
            connection.exec_driver_sql(statement.replace("%", "%%"))
    ours = {table.name: table for table in _our_tables(connection)}
    for one in described:
        _check_fits(ours, one)
    for name in reversed(list(ours)):
        # Rows that a migration wrote into new tables are in the copy as well.
        connection.execute(ours[name].delete())
    for table in ours.values():
        _copy_in(connection, archive, table)
        _move_sequences_on(connection, table)


def _check_fits(ours: dict[str, Table], described: dict[str, Any]) -> None:
    table = ours.get(described["name"])
    if table is None or {c.name for c in table.columns} != set(described["columns"]):
        raise ArchiveRefused(f"the archive's table {described['name']!r} is not one of its schema")


def _copy_in(connection: Connection, archive: Archive, table: Table) -> None:
    path = f"database/{table.name}.copy"
    member = next((one for one in archive.manifest.files if one.path == path), None)
    if member is None:
        return
    name = connection.dialect.identifier_preparer.format_table(table)
    ask = f"COPY {name} ({_columns(connection, table)}) FROM STDIN"
    with (
        archive.reading(member) as file,
        _raw(connection).cursor() as cursor,
        cursor.copy(ask) as rows,
    ):
        while piece := file.read(_PIECE_BYTES):
            rows.write(piece)


def _move_sequences_on(connection: Connection, table: Table) -> None:
    for column in table.columns:
        ask = text("SELECT pg_get_serial_sequence(:name, :column)")
        quoted = connection.dialect.identifier_preparer.format_table(table)
        sequence = connection.scalar(ask, {"name": quoted, "column": column.name})
        if sequence is None:
            continue
        most = text(f"SELECT setval(:sequence, COALESCE(MAX({column.name}), 0) + 1, false) "  # noqa: S608
                    f"FROM {quoted}")  # fmt: skip
        connection.execute(most, {"sequence": sequence})
