"""Whether a database has exactly the tables that the program declares."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from shared.tables.schema import metadata


def schema_differences(connection: Connection) -> list[Any]:
    """Nothing, if the migrations did what they should."""
    context = MigrationContext.configure(connection, opts={"include_object": _is_declared})
    return list(compare_metadata(context, metadata))


def _is_declared(_thing: object, name: str | None, _kind: str, *_others: object) -> bool:
    """PostgreSQL alone has the transactions of rows and slots of tiles, for raw statements only."""
    return name is None or not name.endswith(("xact", "slot"))
