"""Forms of DATABASE_URL that operators of PostgreSQL use, on real servers."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from shared.errors import DataUnavailable
from shared.tables.engine import connect, connect_for_reading, database_errors, migrate
from tests.postgres import Postgres, postgres, running_postgres

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def read_only() -> Iterator[Postgres]:
    """What a standby looks like from outside: it answers, and takes no writes."""
    with running_postgres("default_transaction_read_only=on") as server:
        yield server


def setting_of(engine: Engine, name: str) -> str:
    with database_errors("ask"), engine.connect() as connection:
        return str(connection.scalar(text("SELECT current_setting(:name)"), {"name": name}))


def test_of_several_hosts_the_one_that_takes_writes_is_used(
    postgres: Postgres, read_only: Postgres
) -> None:
    name = postgres.new_database().split("/")[3].split("?")[0]
    hosts = f"/nowhere,{read_only.folder},{postgres.folder}"
    url = f"postgres://tester@/{name}?host={hosts}&target_session_attrs=read-write"
    engine = connect(url)
    migrate(engine)
    reading = connect_for_reading(engine, 5.0)
    for one in (engine, reading):
        assert setting_of(one, "unix_socket_directories") == str(postgres.folder)
        one.dispose()


def test_without_a_host_that_takes_writes_the_database_is_away(read_only: Postgres) -> None:
    url = f"postgresql://tester@/postgres?host={read_only.folder}&target_session_attrs=read-write"
    engine = connect(url)
    with pytest.raises(DataUnavailable, match="read-only"):
        setting_of(engine, "server_version")


@pytest.mark.parametrize(("options", "name", "value"), [
    ("-csearch_path%3Dmine", "search_path", "mine"),
    ("-c%20search_path%3Dmine%20-c%20work_mem%3D8MB", "work_mem", "8MB"),
    ("-cstatement_timeout%3D1234", "statement_timeout", "1234ms"),
    ("-clock_timeout%3D77", "lock_timeout", "77ms"),
])  # fmt: skip
def test_settings_of_a_url_are_those_of_its_connections(
    postgres: Postgres, options: str, name: str, value: str
) -> None:
    engine = connect(f"{postgres.url('postgres')}&options={options}")
    assert setting_of(engine, name) == value
    engine.dispose()


def test_a_connection_that_died_while_it_was_idle_is_replaced(postgres: Postgres) -> None:
    engine = connect(postgres.new_database())
    pid = _backend(engine)
    _end(postgres, pid)
    time.sleep(1.2)  # what was used within the last second is not asked whether it lives
    assert _backend(engine) != pid
    engine.dispose()


def _end(postgres: Postgres, pid: int) -> None:
    admin = connect(postgres.url("postgres"))
    with admin.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
    admin.dispose()


def _backend(engine: Engine) -> int:
    with database_errors("ask"), engine.connect() as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
