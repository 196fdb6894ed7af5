"""Windows from PostgreSQL: the bits of reading row by row, in at most one round trip a batch."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from shared.tables.engine import connect, migrate
from shared.transaction import Transaction
from shared.usecase.serving import WindowBounds
from tests.pooler import running_pooler
from tests.postgres import Postgres, postgres, running_postgres
from tests.support.reserved import reserved
from tests.usecases.fraud.features.frames import DAY, MINUTE, START, transaction
from tests.usecases.fraud.features.histories import StoredHistory, any_history
from usecases.fraud.features.catalogue import MAX_PRIOR_ROWS
from usecases.fraud.features.online import FraudFeatureSource
from usecases.fraud.features.pasts import Pasts

__all__ = ["postgres"]


@pytest.fixture(params=["direct", "pooler"])
def engine(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Engine]:
    url = postgres.new_database()
    if request.param == "direct":
        yield from migrated(url)
        return
    with running_pooler(postgres) as pooler:
        yield from migrated(pooler.through(url))


def migrated(url: str) -> Iterator[Engine]:
    engine = connect(url)
    migrate(engine)
    yield engine
    engine.dispose()


def row_by_row(engine: Engine, most: int = MAX_PRIOR_ROWS) -> FraudFeatureSource:
    source = FraudFeatureSource(engine, bounds=WindowBounds(0, 100_000), max_prior_rows=most)
    source.pasts = Pasts(source.live, None)
    return source


@pytest.mark.parametrize("most", [MAX_PRIOR_ROWS, 20])
def test_any_history_gets_the_bits_of_reading_row_by_row(engine: Engine, most: int) -> None:
    dice = random.Random(7)
    history = any_history(dice)
    history.write(engine)
    kept, plain = FraudFeatureSource(engine, max_prior_rows=most), row_by_row(engine, most)
    for asked in history.questions(dice, 200):
        assert kept.vector(asked).tobytes() == plain.vector(asked).tobytes(), asked
    fresh = FraudFeatureSource(engine, max_prior_rows=most)
    assert fresh.windows is not None
    for asked in history.questions(dice, 60):
        fresh.windows.drop([asked.user_id])
        assert fresh.vector(asked).tobytes() == plain.vector(asked).tobytes(), asked
    assert fresh.live.guard.fallbacks == kept.live.guard.fallbacks == 0


def test_two_copies_of_one_transaction_count_once(engine: Engine) -> None:
    row = transaction(1, START)
    StoredHistory([row], [row]).write(engine)
    asked = transaction(2, START + MINUTE)
    expected = row_by_row(engine).vector(asked)
    assert FraudFeatureSource(engine).vector(asked).tobytes() == expected.tobytes()


@pytest.fixture(scope="module")
def counting() -> Iterator[Engine]:
    """A database that counts its statements."""
    with running_postgres("shared_preload_libraries=pg_stat_statements") as server:
        engine = connect(server.new_database())
        migrate(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE EXTENSION pg_stat_statements")
        yield engine
        engine.dispose()


# The look for rows of others comes ten times a second, however many batches there are.
_STATEMENTS = text("""
SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
WHERE query NOT LIKE '%pg_snapshot_xmin%' AND query NOT LIKE '%pg_stat_statements%'
AND query NOT IN ('BEGIN', 'COMMIT', 'ROLLBACK')
""")


def test_a_batch_of_known_users_makes_no_round_trip_and_one_of_new_users_makes_one(
    counting: Engine,
) -> None:
    users = [f"user{number}" for number in range(40)]
    now_us = START + 10 * DAY

    def batch(name: str, at_us: int, of: list[str]) -> list[Transaction]:
        rows = [transaction(at, at_us + at, user_id=user) for at, user in enumerate(of)]
        return [
            replace(row, transaction_id=f"{name}{at}", merchant_id=f"{name[:1]}{at}")
            for at, row in enumerate(rows)
        ]

    StoredHistory(batch("past", START, users), []).write(counting)
    source = FraudFeatureSource(counting)
    reserved(source, batch("a-first", now_us, users[:3]))
    with counting.connect() as look:

        def statements_of(rows: list[Transaction]) -> int:
            before = int(look.scalar(_STATEMENTS) or 0)
            reserved(source, rows)
            return int(look.scalar(_STATEMENTS) or 0) - before

        assert statements_of(batch("a-next", now_us + MINUTE, users[:3])) == 0
        assert statements_of(batch("b-new", now_us + 2 * MINUTE, users)) == 1
        assert statements_of(batch("b-again", now_us + 3 * MINUTE, users)) == 0
