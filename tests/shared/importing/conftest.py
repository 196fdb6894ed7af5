"""An empty database for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.tables.engine import connect, migrate


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; a copy is cheaper than migrating for every test."""
    file = tmp_path_factory.mktemp("empty") / "understudy.db"
    engine = connect(f"sqlite:///{file}")
    migrate(engine)
    engine.dispose()
    return file


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    shutil.copy(empty_database, tmp_path / "understudy.db")
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    yield engine
    engine.dispose()
