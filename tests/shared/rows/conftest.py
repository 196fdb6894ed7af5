"""A database of each kind, and a schema with a column of every kind."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.rows.schema import Column, Kind, Roles, RowSchema
from shared.rows.table_changes import make_tables
from shared.rows.tables import RowTables, tables_of
from shared.tables.engine import connect
from shared.tasks import Task
from tests.postgres import postgres
from tests.shared.tables.conftest import database_url

__all__ = ["database_url", "postgres"]

COLUMNS = (
    Column("charge", Kind.NUMBER, "charge"),
    Column("plan", Kind.CATEGORY, "plan"),
    Column("fibre", Kind.FLAG, "fibre", required=False),
    Column("called", Kind.MOMENT, "called", required=False),
)


def churn(*columns: Column, version: int = 1, task: Task | None = None) -> RowSchema:
    roles = Roles(label="churned", entity="customer", time="as_of")
    return RowSchema("churn", version, task or Task.binary("yes", "no"), roles, columns or COLUMNS)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def tables(engine: Engine) -> RowTables:
    tables = tables_of(churn())
    make_tables(engine, tables)
    return tables
