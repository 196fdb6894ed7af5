"""Migrations that go on where an interrupted one stopped.

Before transactions covered schema changes on SQLite, a killed migration left tables without the
version that names them, and every later start failed with "table already exists". Existing parts
are kept, and only missing ones are created.
"""

from typing import Any

from alembic.ddl.impl import DefaultImpl
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from sqlalchemy import Column, Connection, Index, Table, TableClause, inspect, select

from shared.errors import SettingsError


class _GoesOn(DefaultImpl):
    """Skips what an earlier attempt has made."""

    @property
    def _link(self) -> Connection:
        if self.connection is None:
            raise TypeError("these migrations are run, not written down as SQL")
        return self.connection

    def create_table(self, table: Table, **options: Any) -> None:
        columns = _columns(self._link, table.name)
        if columns is None:
            super().create_table(table, **options)
            return
        missing = [column.name for column in table.columns if column.name not in columns]
        if missing:
            raise SettingsError(
                f"the database has a table {table.name} of something else (it lacks "
                f"{', '.join(missing)}); point DATABASE_URL at a separate database"
            )

    def create_index(self, index: Index, **options: Any) -> None:
        name = "" if index.table is None else index.table.name
        known = inspect(self._link).get_indexes(name)
        if index.name not in {each["name"] for each in known}:
            super().create_index(index, **options)

    def add_column(self, table_name: str, column: Column[Any], **options: Any) -> None:
        if column.name not in (_columns(self._link, table_name) or ()):
            super().add_column(table_name, column, **options)

    def bulk_insert(
        self, table: TableClause | Table, rows: list[dict[str, Any]], multiinsert: bool = True
    ) -> None:
        """First rows of a new table: not those whose key an earlier attempt has stored."""
        keys = [column for column in table.columns if column.primary_key]
        stored = set(map(tuple, self._link.execute(select(*keys))))
        new = [row for row in rows if tuple(row.get(key.name) for key in keys) not in stored]
        if new:
            super().bulk_insert(table, new, multiinsert)


class _SqliteGoesOn(_GoesOn, SQLiteImpl):
    """Alembic takes the implementation that was declared last for a dialect."""

    __dialect__ = "sqlite"
    # Alembic assumes that SQLite has no transactional DDL; with an explicit BEGIN it does
    transactional_ddl = True


class _PostgresqlGoesOn(_GoesOn, PostgresqlImpl):
    __dialect__ = "postgresql"


def _columns(connection: Connection, table_name: str) -> set[str] | None:
    """The names of its columns; None where there is no such table."""
    inspector = inspect(connection)
    if not inspector.has_table(table_name):
        return None
    return {column["name"] for column in inspector.get_columns(table_name)}
