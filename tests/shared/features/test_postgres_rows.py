"""Memory over PostgreSQL follows other writers."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from shared.features.fetch import PostgresFetch
from shared.features.stored_rows import LOOK_SECONDS, PostgresStoredRows
from shared.tables.data_changes import begin_change
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_decisions, write_history
from shared.transaction import Transaction
from tests.postgres import Postgres, postgres
from tests.support.reserved import reserved
from tests.usecases.fraud.features.frames import MINUTE, START, record, transaction
from usecases.fraud.features.online import FraudFeatureSource


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Engine]:
    engine = connect(postgres.new_database())
    migrate(engine)
    yield engine
    engine.dispose()


__all__ = ["postgres"]


def never(_count: int, _first: str, _last: str) -> bool:
    return False


def store(engine: Engine, *rows: Transaction) -> None:
    with engine.begin() as connection:
        write_decisions(connection, [{**record(row), "model_version": "1.0.0"} for row in rows])


def names(rows: object) -> list[str]:
    assert isinstance(rows, list)
    return [name for _, name in rows]


def test_new_rows_of_both_logs_are_told_once(engine: Engine) -> None:
    watch = PostgresStoredRows(PostgresFetch(engine))
    store(engine, transaction(1, START))
    assert watch.new(never, at_once=True) is None
    first, second = transaction(2, START), transaction(3, START)
    store(engine, first)
    with engine.begin() as connection:
        write_history(connection, [record(second)])
    found = watch.new(never, at_once=True)
    assert sorted(names(found)) == sorted([first.transaction_id, second.transaction_id])
    assert watch.new(never, at_once=True) == []


def test_rows_beside_a_transaction_that_stays_open_are_told_once_and_none_is_missed(
    engine: Engine,
) -> None:
    watch = PostgresStoredRows(PostgresFetch(engine))
    watch.new(never, at_once=True)
    late, early = transaction(1, START), transaction(2, START)
    with engine.connect() as link, link.begin() as open_transaction:
        write_decisions(link, [{**record(late), "model_version": "1.0.0"}])
        link.execute(text("SELECT 1"))
        # a connection of the pool: the writer's lock is held by the other
        with engine.begin() as other:
            other.execute(text(_COPY), {"id": early.transaction_id})
        assert names(watch.new(never, at_once=True)) == [early.transaction_id]
        assert watch.new(never, at_once=True) == []
        open_transaction.commit()
    assert names(watch.new(never, at_once=True)) == [late.transaction_id]


_COPY = """
INSERT INTO apitransactionlogs
    (transaction_id, user_id, event_time, ingested_at, amount, currency, merchant_id,
     transaction_type, model_version)
VALUES (:id, 'ann', 1, 1, 1, 'EUR', 'm', 'purchase', '1.0.0')
"""


def test_it_asks_ten_times_a_second_and_when_it_has_to(engine: Engine) -> None:
    now = [0.0]
    watch = PostgresStoredRows(PostgresFetch(engine), clock=lambda: now[0])
    watch.new(never)
    row = transaction(1, START)
    store(engine, row)
    assert watch.new(never) == ()
    now[0] += LOOK_SECONDS
    assert names(watch.new(never)) == [row.transaction_id]


def test_a_change_by_command_makes_everything_doubtful(engine: Engine) -> None:
    watch = PostgresStoredRows(PostgresFetch(engine))
    watch.new(never, at_once=True)
    with engine.begin() as connection:
        begin_change(connection, "fix", START, None, {})
    assert watch.new(never, at_once=True) is None
    assert watch.new(never, at_once=True) == []


def test_a_connection_that_died_is_replaced_and_makes_everything_doubtful(engine: Engine) -> None:
    fetch = PostgresFetch(engine)
    watch = PostgresStoredRows(fetch)
    watch.new(never, at_once=True)
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
    assert watch.new(never, at_once=True) is None
    assert fetch.connections == 2


def test_windows_give_the_bits_of_reading_anew_beside_another_writer(engine: Engine) -> None:
    source, plain = FraudFeatureSource(engine), FraudFeatureSource(engine)
    plain.windows = None
    assert source.windows is not None
    kept = 0
    for number in range(60):
        row = transaction(number, START + number * MINUTE)
        kept += source.windows.held(row.user_id) is not None
        source.windows.look()
        assert source.vector(row).tobytes() == plain.vector(row).tobytes(), number
        if number % 7 == 3:
            store(engine, transaction(1_000 + number, START + number * MINUTE + 1))
        for one in (source, plain):
            one.remember(row)
        if number % 5 == 4:
            store(engine, row)
            for one in (source, plain):
                one.forget([row.transaction_id])
    assert kept > 30


def test_rows_of_many_users_are_read_in_one_round_trip_and_give_the_same_bits(
    engine: Engine,
) -> None:
    source, plain = FraudFeatureSource(engine), FraudFeatureSource(engine)
    plain.windows = None
    past = [
        transaction(number, START + number * MINUTE, user_id=f"user{number % 20}")
        for number in range(100)
    ]
    store(engine, *past)
    now = START + 200 * MINUTE
    rows = [transaction(1_000 + n, now + n, user_id=f"user{n % 25}") for n in range(50)]
    vectors = reserved(source, rows)
    for row, vector in zip(rows, vectors, strict=True):
        assert vector.tobytes() == plain.vector(row).tobytes(), row
        plain.remember(row)
