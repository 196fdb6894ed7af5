"""Live features: pending rows, stored rows, both, and no database at all."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, create_engine

from shared.tables.engine import connect, migrate
from shared.tables.schema import metadata
from shared.tables.writer import write_decisions, write_history, write_labels
from shared.transaction import Label, Transaction
from tests.usecases.fraud.features.frames import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    record,
    transaction,
)
from usecases.fraud.features.catalogue import FEATURE_SET, KERNEL_FEATURES
from usecases.fraud.features.online import FraudFeatureSource, warm_up

ROOT = Path(__file__).parents[4]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path}/online.db")
    migrate(engine)
    return engine


@pytest.fixture
def source(engine: Engine) -> FraudFeatureSource:
    return FraudFeatureSource(engine)


def store(engine: Engine, rows: Sequence[Transaction]) -> None:
    with engine.begin() as connection:
        write_decisions(connection, [{**record(row), "model_version": "1.0.0"} for row in rows])


def served(source: FraudFeatureSource, row: Transaction) -> dict[str, float]:
    return dict(zip(FEATURE_SET.names, source.vector(row).tolist(), strict=True))


def test_a_remembered_row_counts_before_the_database_has_it(source: FraudFeatureSource) -> None:
    source.remember(transaction(1, START, amount=30.0))
    found = served(source, transaction(2, START + MINUTE))
    assert (found["cnt_10m"], found["sum_1h"], found["secs_since_prev"]) == (1.0, 30.0, 60.0)


def test_a_row_in_memory_and_in_the_database_counts_once(
    engine: Engine, source: FraudFeatureSource
) -> None:
    row = transaction(1, START)
    source.remember(row)
    store(engine, [row])
    assert served(source, transaction(2, START + MINUTE))["cnt_10m"] == 1.0
    source.forget([row.transaction_id])
    assert served(source, transaction(2, START + MINUTE))["cnt_10m"] == 1.0


def test_a_forgotten_row_that_was_never_stored_is_gone(source: FraudFeatureSource) -> None:
    source.remember(transaction(1, START))
    source.forget(["t000001", "never heard of"])
    assert served(source, transaction(2, START + MINUTE))["cnt_10m"] == 0.0


def test_a_transaction_sent_again_does_not_see_itself(
    engine: Engine, source: FraudFeatureSource
) -> None:
    row = transaction(1, START)
    again = replace(row, event_time_us=START + MINUTE, ingested_at_us=START + MINUTE)
    source.remember(row)
    assert served(source, again)["cnt_10m"] == 0.0
    store(engine, [row])
    source.forget([row.transaction_id])
    assert served(source, again)["cnt_10m"] == 0.0


def test_a_row_in_both_logs_counts_once_with_the_instant_it_was_scored(
    engine: Engine, source: FraudFeatureSource
) -> None:
    row = transaction(1, START - HOUR, ingested_at_us=START)
    store(engine, [row])
    with engine.begin() as connection:
        write_history(connection, [record(replace(row, ingested_at_us=START - HOUR))])
    assert served(source, transaction(2, START - MINUTE))["cnt_1h"] == 0.0
    assert served(source, transaction(2, START - MINUTE, ingested_at_us=START))["cnt_1h"] == 1.0


def test_the_last_and_the_first_row_are_found_at_any_age(
    engine: Engine, source: FraudFeatureSource
) -> None:
    with engine.begin() as connection:
        write_history(connection, [record(transaction(1, START - 400 * DAY))])
    store(engine, [transaction(2, START - 100 * DAY, amount=80.0)])
    found = served(source, transaction(3, START))
    assert found["days_since_first_seen"] == 400.0
    assert (found["secs_since_prev"], found["amount_to_prev"]) == (8_640_000.0, 0.25)
    assert found["cnt_30d"] == 0.0


def test_a_late_row_that_is_pending_stays_out_of_what_was_before(
    source: FraudFeatureSource,
) -> None:
    source.remember(transaction(1, START - HOUR, ingested_at_us=START))
    assert served(source, transaction(2, START - MINUTE))["cnt_24h"] == 0.0


def test_labels_change_a_merchants_rate_as_soon_as_they_are_learned(
    engine: Engine, source: FraudFeatureSource
) -> None:
    store(engine, [transaction(1, START - 9 * DAY, user_id="bob")])
    row = transaction(2, START)
    served(source, row)  # the first row of a process reads everything again
    assert served(source, row)["merchant_fraud_rate_7d_lag"] == pytest.approx(0.005)
    label = Label("t000001", 1, START - DAY, "chargeback")
    with engine.begin() as connection:
        write_labels(connection, [label])
    assert served(source, row)["merchant_fraud_rate_7d_lag"] == pytest.approx(0.005)
    source.learned([label])
    assert served(source, row)["merchant_fraud_rate_7d_lag"] == pytest.approx(1.01 / 3)


def test_rows_stored_later_than_promised_still_reach_their_merchants_hours(
    engine: Engine, source: FraudFeatureSource
) -> None:
    sold = transaction(1, START - MINUTE, user_id="bob")
    source.remember(sold)
    row = transaction(2, START + HOUR)
    assert served(source, row)["merchant_cnt_24h"] == 0.0
    store(engine, [sold])
    source.forget([sold.transaction_id])
    assert served(source, row)["merchant_cnt_24h"] == 1.0


def test_without_a_database_it_scores_on_what_is_in_memory(tmp_path: Path) -> None:
    source = FraudFeatureSource(connect(f"sqlite:///{tmp_path}"))  # a folder: cannot be opened
    source.remember(transaction(1, START))
    vector = source.vector(transaction(2, START + MINUTE))
    assert np.isfinite(vector[:KERNEL_FEATURES]).all()
    assert vector[FEATURE_SET.names.index("cnt_10m")] == 1.0
    assert source.live.guard.fallbacks == 2


def test_threads_get_the_same_features(engine: Engine, source: FraudFeatureSource) -> None:
    rows = [transaction(n, START + n * MINUTE, merchant_id=f"m{n % 5}") for n in range(60)]
    store(engine, rows[:40])
    for row in rows[40:]:
        source.remember(row)
    last = transaction(99, START + DAY, ingested_at_us=START + DAY + SECOND)
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(source.vector, [last] * 64))
    assert len({vector.tobytes() for vector in vectors}) == 1
    assert vectors[0][FEATURE_SET.names.index("cnt_24h")] == 60.0


def test_a_database_in_memory_is_read_through_its_pool() -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    store(engine, [transaction(1, START - 60 * DAY), transaction(2, START)])
    found = served(FraudFeatureSource(engine), transaction(3, START + MINUTE))
    assert found["cnt_10m"] == 1.0
    assert found["days_since_first_seen"] == pytest.approx(60, 1e-4)


def test_warming_up_compiles_what_the_first_request_needs() -> None:
    warm_up()


def test_live_features_import_no_training_library() -> None:
    code = (
        "import sys, usecases.fraud.features.online\n"
        "print([n for n in ('polars', 'torch', 'sklearn', 'pandera') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
