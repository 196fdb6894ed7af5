"""A migration that is killed at any statement leaves nothing in the way of the next start."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from shared.errors import SettingsError
from shared.tables.engine import connect, migrate
from tests.postgres import Postgres
from tests.shared.tables.killed_migration import main
from tests.support.declared_schema import schema_differences

pytestmark = pytest.mark.slow


def killed_in_a_child(url: str, statements: int, how: str, revision: str = "head") -> bool:
    """Whether the child was killed before it was done; a fork spares importing everything."""
    child = os.fork()
    if child == 0:
        try:
            main(url, str(statements), how, revision)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == int(signal.SIGKILL)


def is_whole(engine: Engine) -> bool:
    with engine.connect() as connection:
        rows = connection.scalar(text("SELECT count(*) FROM retrainingconfig"))
        return bool(schema_differences(connection) == [] and rows == 1)


def tables_of(url: str) -> list[str]:
    engine = connect(url)
    names = inspect(engine).get_table_names()
    engine.dispose()
    return names


# One statement after the other takes a minute.
every_statement = pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    def each() -> Iterator[Path]:
        number = 0
        while True:
            number += 1
            folder = tmp_path / str(number)
            folder.mkdir()
            yield folder

    return each()


def finishes(url: str) -> bool:
    engine = connect(url)
    migrate(engine)
    whole = is_whole(engine)
    engine.dispose()
    return whole


@every_statement
def test_a_kill_behind_any_statement_leaves_all_tables_or_none(
    folders: Iterator[Path], step: int
) -> None:
    statements, was_killed = 0, True
    while was_killed:
        statements += step
        url = f"sqlite:///{next(folders)}/understudy.db"
        was_killed = killed_in_a_child(url, statements, "transactional")
        assert not was_killed or tables_of(url) == []
        assert finishes(url)
    assert statements > 30


@every_statement
def test_what_an_older_version_left_half_made_is_made_whole(
    folders: Iterator[Path], step: int
) -> None:
    statements, was_killed, half_made = 0, True, 0
    while was_killed:
        statements += step
        url = f"sqlite:///{next(folders)}/understudy.db"
        was_killed = killed_in_a_child(url, statements, "autocommit")
        half_made += was_killed and len(tables_of(url)) > 1
        assert finishes(url)
    assert half_made > 1


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_an_upgrade_of_an_older_version_that_was_killed_goes_on(
    folders: Iterator[Path], revision: str
) -> None:
    statements, was_killed = 0, True
    while was_killed:
        statements += 4
        url = f"sqlite:///{next(folders)}/understudy.db"
        assert not killed_in_a_child(url, 10_000, "autocommit", revision)
        was_killed = killed_in_a_child(url, statements, "autocommit")
        assert finishes(url)


def test_tables_without_the_version_that_names_them_are_taken_over(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE retrainingconfig SET interval = '3D'"))
        connection.execute(text("DROP TABLE alembic_version"))
    migrate(engine)
    assert is_whole(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT interval FROM retrainingconfig")) == "3D"


def test_a_table_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/other.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE duties (id INTEGER, chore TEXT)"))
    with pytest.raises(SettingsError, match=r"table duties of something else.*DATABASE_URL"):
        migrate(engine)
    assert inspect(engine).get_table_names() == ["duties"]


def test_a_killed_migration_of_postgresql_leaves_nothing(postgres: Postgres) -> None:
    url = postgres.new_database()
    assert killed_in_a_child(url, 20, "transactional")
    assert tables_of(url) == []
    assert finishes(url)
