"""A database of each kind, and a schema with a column of every kind."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.rows.table_changes import make_tables
from shared.rows.tables import RowTables, tables_of
from shared.tables.engine import connect
from tests.postgres import postgres
from tests.support.churn_rows import churn
from tests.support.database_urls import database_url

__all__ = ["database_url", "postgres"]


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
