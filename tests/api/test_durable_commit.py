"""What the drain commits is on disk, whatever the database was told."""

from pathlib import Path

from sqlalchemy import text

from api.journal.sink import DatabaseSink, insist_on_durable_commit
from shared.tables.engine import connect
from tests.postgres import Postgres, postgres

__all__ = ["postgres"]


def test_where_postgresql_need_not_flush_the_drain_has_it_flush(postgres: Postgres) -> None:
    engine = connect(postgres.new_database())
    with engine.begin() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    engine.dispose()
    with engine.begin() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "off"
        insist_on_durable_commit(connection)
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"
    with engine.begin() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "off"
    engine.dispose()


def test_sqlite_flushes_its_log_with_every_commit_of_an_engine_that_drains(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'understudy.db'}")
    DatabaseSink(engine).prepare()
    full = 2
    with engine.begin() as connection:
        assert connection.scalar(text("PRAGMA synchronous")) == full
    engine.dispose()
