"""A migrated database of each kind; PostgreSQL is a real server that lives for the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.tables.engine import connect, migrate
from tests.postgres import postgres
from tests.support.database_urls import database_url

__all__ = ["database_url", "postgres"]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/understudy.db"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    migrate(engine)
    yield engine
    engine.dispose()
