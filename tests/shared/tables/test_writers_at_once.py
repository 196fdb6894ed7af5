"""Several processes write to one PostgreSQL at once: nothing is lost, doubled or miscounted."""

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DataError

from shared.clock import MICROS_PER_HOUR
from shared.errors import DataUnavailable
from shared.tables.engine import connect, database_errors, migrate
from shared.tables.locks import share_writing
from shared.tables.schema import api_transaction_logs, transaction_history_logs
from shared.tables.tiles import rebuild_tiles
from shared.tables.writer import write_decisions, write_history, write_labels
from shared.transaction import Label
from tests.postgres import Postgres

HOUR = MICROS_PER_HOUR
IDS = 400
_TILES = text("""
SELECT merchant_id, event_hour, known_hour, kind, sum(rows), sum(positives) FROM merchanttiles
GROUP BY 1, 2, 3, 4 HAVING sum(rows) <> 0 OR sum(positives) <> 0 ORDER BY 1, 2, 3, 4
""")

_SLOTS = text("SELECT sum(rows), count(DISTINCT slot) FROM merchanttiles WHERE kind = 'row'")


@pytest.fixture
def url(postgres: Postgres) -> str:
    url = postgres.new_database()
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = connect(url)
    yield engine
    engine.dispose()


def row(number: int, writer: int) -> dict[str, object]:
    """The same transaction whoever stores it, but for the instant at which it came in."""
    return {
        "transaction_id": f"t{number:05}",
        "user_id": f"u{number % 5}",
        "event_time": number * HOUR // 40,
        "ingested_at": number * HOUR // 40 + writer * HOUR,
        "amount": 1.0 + writer,
        "currency": "EUR",
        "merchant_id": f"m{number % 3}",
        "transaction_type": "purchase",
    }


def write(url: str, writer: int, seed: int) -> int:
    """Rows and labels in any order, many of which another process writes at the same time."""
    dice = random.Random(seed)
    engine, stored = connect(url), 0
    for _ in range(40):
        numbers = dice.sample(range(IDS), 60)
        kind = dice.choice(("decisions", "decisions", "labels", "both", "history"))
        labels = [
            Label(f"t{n:05}", dice.randrange(2), (n + dice.randrange(900)) * HOUR, "test")
            for n in dice.sample(range(IDS), 30)
        ]
        rows = [row(number, writer) for number in numbers]
        while True:
            try:
                stored += _attempt(engine, kind, rows, labels)
            except DataUnavailable as error:
                if "deadlock" not in str(error):
                    raise
                continue  # as the drain does
            break
    engine.dispose()
    return stored


def _attempt(engine: Engine, kind: str, rows: list[dict[str, object]], labels: list[Label]) -> int:
    stored = 0
    with database_errors("write"), engine.begin() as connection:
        if kind == "history":
            return write_history(connection, rows)
        if kind in {"decisions", "both"}:
            stored = write_decisions(connection, [{**one, "model_version": "1"} for one in rows])
        if kind in {"labels", "both"}:
            write_labels(connection, labels)
    return stored


@pytest.mark.parametrize("seed", [1, 2])
def test_processes_that_write_the_same_rows_store_each_once_and_count_it_exactly(
    url: str, engine: Engine, seed: int
) -> None:
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        written = list(pool.map(write, [url] * 3, range(3), range(seed * 10, seed * 10 + 3)))
    with engine.begin() as connection:
        tables = (api_transaction_logs, transaction_history_logs)
        counts = [connection.scalar(select(func.count()).select_from(table)) for table in tables]
        assert sum(written) == sum(filter(None, counts))
        found = [tuple(line) for line in connection.execute(_TILES)]
        rebuild_tiles(connection)
        assert found == [tuple(line) for line in connection.execute(_TILES)]


def test_writers_of_one_busy_merchant_do_not_wait_for_each_other(engine: Engine) -> None:
    first = [{**row(n, 0), "merchant_id": "mall", "model_version": "1"} for n in range(10)]
    second = [{**row(n, 1), "merchant_id": "mall", "model_version": "1"} for n in range(10, 20)]
    with engine.connect() as one, ThreadPoolExecutor(1) as pool:
        with one.begin():
            write_decisions(one, first)

            def write_beside() -> int:
                with engine.begin() as other:
                    other.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
                    return write_decisions(other, second)

            # it ends although the first transaction is still open
            assert pool.submit(write_beside).result(timeout=60) == 10
        with one.begin():
            query = text(
                "SELECT sum(rows), count(DISTINCT slot) FROM merchanttiles WHERE kind = 'row'"
            )
            assert tuple(one.execute(query).one()) == (20, 2)


def test_a_label_that_turns_round_in_another_slot_counts(engine: Engine) -> None:
    with engine.begin() as connection:
        write_decisions(connection, [{**row(1, 0), "model_version": "1"}])
        write_labels(connection, [Label("t00001", 1, HOUR, "test")])
    with engine.connect() as one, one.begin():
        write_decisions(one, [{**row(2, 0), "model_version": "1"}])
        with engine.begin() as other:
            # slot 0 is taken; here the change is no row more and a positive less
            write_labels(other, [Label("t00001", 0, HOUR + 1, "test")])
    with engine.connect() as connection:
        labels = [tuple(line[4:]) for line in connection.execute(_TILES) if line[3] == "label"]
        assert labels == [(1, 0)]


def test_a_change_by_command_waits_for_writers_and_they_for_it(engine: Engine) -> None:
    def import_impatiently() -> None:
        with database_errors("import"), engine.begin() as other:
            other.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            write_history(other, [row(1, 0)])

    with engine.connect() as one, one.begin():
        share_writing(one)
        with pytest.raises(DataUnavailable, match="lock timeout"):
            import_impatiently()
    import_impatiently()


def test_a_row_that_does_not_fit_is_told_from_a_database_in_trouble(engine: Engine) -> None:
    def write_one(**values: object) -> int:
        with engine.begin() as connection:
            return write_decisions(connection, [{**row(1, 0), "model_version": "1", **values}])

    with pytest.raises(DataError, match="too long"):
        write_one(currency="EURO")
    assert write_one() == 1
