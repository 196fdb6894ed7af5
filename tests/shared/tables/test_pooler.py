"""PostgreSQL behind PgBouncer in transaction mode: everything works as without it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from shared.clock import MICROS_PER_SECOND
from shared.errors import DataUnavailable
from shared.features.fetch import fetch_from
from shared.features.reader import HistoryReader
from shared.features.tiles import TileWindows
from shared.tables.engine import (
    connect,
    connect_for_reading,
    database_errors,
    is_behind_pooler,
    migrate,
)
from shared.tables.postgresql import settings_of
from shared.tables.writer import write_history, write_labels
from shared.transaction import Label
from tests.pooler import Pooler, running_pooler
from tests.postgres import Postgres

IGNORED = "ignore_startup_parameters = options"
COUNT = text("SELECT count(*) FROM transactionhistorylogs")
LIMITS = text("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")


@pytest.fixture(params=["refused", "ignored"], scope="module")
def pooler(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Pooler]:
    """PgBouncer refuses start-up options, unless it is told to ignore them."""
    with running_pooler(postgres, *([IGNORED] if request.param == "ignored" else [])) as running:
        yield running


@pytest.fixture
def engine(pooler: Pooler, postgres: Postgres) -> Iterator[Engine]:
    made = connect(pooler.through(postgres.new_database()), statement_timeout_seconds=7)
    migrate(made)
    yield made
    made.dispose()


def row(number: int) -> dict[str, object]:
    return {
        "transaction_id": f"t{number}", "user_id": f"u{number % 7}", "amount": 1.0 + number,
        "event_time": number * MICROS_PER_SECOND, "ingested_at": number * MICROS_PER_SECOND,
        "currency": "EUR", "merchant_id": f"m{number % 3}", "transaction_type": "purchase",
    }  # fmt: skip


def test_the_pooler_is_noticed_and_a_direct_connection_is_not_taken_for_one(
    engine: Engine, postgres: Postgres
) -> None:
    direct = connect(postgres.url("postgres"))
    with direct.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "5min"
    assert (is_behind_pooler(engine), is_behind_pooler(direct)) == (True, False)
    direct.dispose()


def test_rows_and_labels_are_stored_and_read_by_many_connections_at_once(engine: Engine) -> None:
    write_all = [row(number) for number in range(500)]
    for begin in range(0, 500, 50):
        with engine.begin() as connection:
            write_history(connection, write_all[begin : begin + 50])
    with engine.begin() as connection:
        assert write_labels(connection, [Label("t3", 1, MICROS_PER_SECOND * 900, "test")]) == ["t3"]
    reader = HistoryReader(fetch_from(engine), ("amount",), TileWindows.behind(0))
    others = [engine.connect() for _ in range(4)]
    for _ in range(20):
        # more often than psycopg waits before it prepares a statement
        assert len(reader.window("u1", 0, 600 * MICROS_PER_SECOND, 1_000)) == 72
        for other in others:
            assert other.scalar(COUNT) == 500
            other.rollback()
    for other in others:
        other.close()


def test_the_limits_hold_in_every_transaction_and_in_nobody_elses(
    engine: Engine, pooler: Pooler
) -> None:
    for _ in range(5):
        with engine.connect() as connection:
            assert tuple(connection.execute(LIMITS).one()) == ("7s", "1min")
    other = connect(engine.url.render_as_string(hide_password=False), 9)
    with other.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "9s"
        connection.exec_driver_sql("COMMIT")
        # a transaction of the same server connections without our settings
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
    other.dispose()


def test_a_statement_that_takes_too_long_ends(engine: Engine) -> None:
    reading = connect_for_reading(engine, 0.3)
    fetch = fetch_from(reading)
    fetch(text("SELECT 1"), {})  # type: ignore[arg-type]
    with pytest.raises(DataUnavailable, match="statement timeout"):
        fetch(text("SELECT pg_sleep(20)"), {})  # type: ignore[arg-type]
    reading.dispose()


def test_a_schema_in_the_url_is_used(pooler: Pooler, postgres: Postgres) -> None:
    plain = postgres.new_database()
    admin = connect(plain)
    with admin.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA mine")
    for url in (
        f"{plain}&options=-csearch_path%3Dmine",
        pooler.through(plain, options="-c%20search_path%3Dmine"),
    ):
        engine = connect(url)
        migrate(engine)
        with engine.begin() as connection:
            write_history(connection, [row(1)])
            assert connection.scalar(text("SELECT count(*) FROM mine.transactionhistorylogs")) == 1
            assert connection.scalar(text("SHOW lock_timeout")) == "1min"
        engine.dispose()
    with admin.connect() as connection:
        assert (
            connection.scalar(text("SELECT to_regclass('public.transactionhistorylogs')")) is None
        )
    admin.dispose()


def test_a_pooler_that_is_away_is_a_database_that_is_away(postgres: Postgres) -> None:
    with running_pooler(postgres) as pooler:
        engine = connect(pooler.through(postgres.new_database()))
        migrate(engine)
    with pytest.raises(DataUnavailable), database_errors("ask"), engine.connect() as connection:
        connection.scalar(COUNT)
    engine.dispose()


@pytest.mark.parametrize(("options", "settings"), [
    ("-csearch_path=mine", {"search_path": "mine"}),
    ("-c search_path=a,b -c work_mem=8MB", {"search_path": "a,b", "work_mem": "8MB"}),
    ("--search-path=mine", {"search_path": "mine"}),
    (r"-c application_name=two\ words", {"application_name": "two words"}),
    ("", {}),
])  # fmt: skip
def test_options_of_a_url_are_read_as_libpq_writes_them(
    options: str, settings: dict[str, str]
) -> None:
    assert settings_of(options) == settings
