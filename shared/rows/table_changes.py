"""Bringing the tables of a declaration up to date: columns may be added, nothing else changes.

House tables keep Alembic. Here the declaration is the newest state and the database says what
was there before, so no revision is written by hand.
"""

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Float,
    Inspector,
    LargeBinary,
    SmallInteger,
    Text,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateColumn

from shared.errors import SettingsError
from shared.rows.tables import RowTables
from shared.tables.data_changes import IMPORT_SENDER
from shared.tables.engine import MIGRATION_LOCK, database_errors, lasting_transaction

# by the type in the database; FLOAT before the integers that SQLite would also take
_KINDS = (
    (Float, "number"),
    (SmallInteger, "flag"),
    (BigInteger, "moment"),
    (Text, "category"),
    (LargeBinary, "vector"),
)


class DeclarationChanged(SettingsError):
    """Raised when a change of the declaration does not fit the rows that are stored."""


def make_tables(engine: Engine, tables: RowTables) -> tuple[str, ...]:
    """Create what is missing and add new columns; the names of the columns that were added.

    Safe when several processes start at once.

    Raises:
        DeclarationChanged: a column vanished or changed its kind; names it and the remedy.
        DataUnavailable: the database cannot be reached.
    """
    if _differences(engine, tables) == ():
        return ()
    with database_errors("make the tables of the use case"), lasting_transaction(engine) as link:
        _one_at_a_time(link)
        found = inspect(link)
        is_new = not found.has_table(tables.rows.name)
        for table in tables.all:
            table.create(link, checkfirst=True)
        if is_new:
            return ()
        missing = _missing_columns(found, tables)
        if missing:
            _refuse_second_ids(link, tables, missing[0])
        for name in missing:
            for table in (tables.rows, tables.quarantined):
                definition = CreateColumn(table.c[name]).compile(dialect=link.dialect)
                link.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))
        return missing


def _differences(engine: Engine, tables: RowTables) -> tuple[str, ...] | None:
    """Columns to be added; None where a table is missing."""
    with database_errors("check the tables of the use case"), engine.connect() as link:
        found = inspect(link)
        if not all(found.has_table(table.name) for table in tables.all):
            return None
        return _missing_columns(found, tables)


def _one_at_a_time(link: Connection) -> None:
    if link.dialect.name == "postgresql":
        link.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        return
    # Python's sqlite3 opens a transaction before INSERT and the like, but not before DDL
    link.exec_driver_sql("BEGIN IMMEDIATE")


def _missing_columns(found: Inspector, tables: RowTables) -> tuple[str, ...]:
    """Columns that the table lacks.

    Raises:
        DeclarationChanged: what is there does not fit.
    """
    stored = {column["name"]: column["type"] for column in found.get_columns(tables.rows.name)}
    schema = tables.schema
    remedy = f"raise [use_case] version to {schema.version + 1}, which begins with new tables"
    vanished = [name for name in stored if name not in tables.rows.c]
    if vanished:
        raise DeclarationChanged(
            f"columns.{vanished[0]} was removed from the declaration of {schema.name}, and "
            f"version {schema.version} has rows with it: declare it again, or {remedy}"
        )
    for name, kind in stored.items():
        was, now = _kind_of(kind), _kind_of(tables.rows.c[name].type)
        if was != now:
            raise DeclarationChanged(
                f"columns.{name} of {schema.name} was a {was} and is declared as a {now}: change "
                f"it back, or {remedy}"
            )
    return tuple(column.name for column in tables.rows.columns if column.name not in stored)


def _refuse_second_ids(link: Connection, tables: RowTables, added: str) -> None:
    """Ids made of content change with the columns: rows read again would be stored twice."""
    schema, rows = tables.schema, tables.rows
    if schema.roles.row_id is not None:
        return
    imported = select(rows.c.row_id).where(rows.c.sent_by.like(f"{IMPORT_SENDER}%")).limit(1)
    if link.execute(imported).first() is not None:
        raise DeclarationChanged(
            f"columns.{added} was added to {schema.name}, whose imported rows have ids made of "
            "their content: read again with this column they would be stored twice; declare "
            f"use_case.row_id with version = {schema.version + 1}, or raise the version alone"
        )


def _kind_of(kind: object) -> str:
    return next((word for base, word in _KINDS if isinstance(kind, base)), "text")
