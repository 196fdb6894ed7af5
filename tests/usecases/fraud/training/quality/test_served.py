"""What is read back of the features that were served."""

from pathlib import Path

import numpy as np
import polars as pl
from sqlalchemy import Engine, insert

from benchmarks.quality_material import SERVED
from benchmarks.quality_world import NOW_US
from shared.clock import MICROS_PER_DAY
from shared.tables.engine import connect, migrate
from shared.tables.schema import api_transaction_logs, features_config
from shared.usecase.serving import HISTORY_UNAVAILABLE
from usecases import load_learning
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.quality.features import FeatureContext
from usecases.fraud.training.quality.served import read_served


def database(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path / 'logs.db'}")
    migrate(engine)
    return engine


def log(
    engine: Engine,
    rows: pl.DataFrame,
    matrix: np.ndarray,
    version: str = FEATURE_SET.version,
    reasons: list[dict[str, str]] | None = None,
) -> None:
    """Rows as the API would have logged them."""
    decision = {"model_version": "1.0.0", "reason_codes": reasons or []}
    scored = [
        row | decision | {"feature_set_version": version, "feature_vector": vector}
        for row, vector in zip(
            rows.to_dicts(), (line.astype("<f4").tobytes() for line in matrix), strict=True
        )
    ]
    with engine.begin() as connection:
        connection.execute(insert(api_transaction_logs), scored)


def test_features_that_were_served_wrong_fail_the_gate(
    tmp_path: Path, clean: pl.DataFrame, material: FeatureContext
) -> None:
    engine, use_case = database(tmp_path), load_learning("fraud")
    wrong = material.served.matrix.copy()
    wrong[:, FEATURE_SET.names.index("cnt_24h")] += 1
    log(engine, clean.tail(SERVED), wrong)
    verdict = use_case.check_features(engine, clean, material.matrix, material.split, NOW_US)
    engine.dispose()
    assert not verdict.passed
    assert "cnt_24h differs from the recomputed value in 100%" in verdict.reason
    assert verdict.numbers["served_features_differ.cnt_24h.features"] == 1


def test_features_that_were_served_right_pass_the_gate(
    tmp_path: Path, clean: pl.DataFrame, material: FeatureContext
) -> None:
    engine, use_case = database(tmp_path), load_learning("fraud")
    log(engine, clean.tail(SERVED), material.served.matrix)
    verdict = use_case.check_features(engine, clean, material.matrix, material.split, NOW_US)
    engine.dispose()
    assert verdict.passed, verdict.reason
    assert int(str(verdict.numbers["served_rows"])) > SERVED / 2


def test_vectors_that_are_old_or_of_another_feature_set_are_not_read(
    tmp_path: Path, clean: pl.DataFrame, material: FeatureContext
) -> None:
    engine, newest = database(tmp_path), clean.tail(20)
    log(engine, newest.head(10), material.served.matrix[-20:-10], version="0")
    log(engine, newest.tail(10), material.served.matrix[-10:])
    found = read_served(engine, NOW_US, FEATURE_SET)
    assert set(found.transaction_ids) == set(newest.tail(10)["transaction_id"])
    assert not read_served(engine, NOW_US + 8 * MICROS_PER_DAY, FEATURE_SET).transaction_ids
    engine.dispose()


def test_a_vector_is_named_by_the_features_that_are_switched_on(
    tmp_path: Path, clean: pl.DataFrame, material: FeatureContext
) -> None:
    engine = database(tmp_path)
    log(engine, clean.tail(5), material.served.matrix[-5:, :-1])
    assert not read_served(engine, NOW_US, FEATURE_SET).transaction_ids
    with engine.begin() as connection:
        off = {"featurename": FEATURE_SET.names[-1], "isenabled": 0}
        connection.execute(insert(features_config), off)
    found = read_served(engine, NOW_US, FEATURE_SET)
    engine.dispose()
    assert found.names == FEATURE_SET.names[:-1]
    assert len(found.matrix) == 5


def test_rows_that_were_scored_without_history_are_no_skew(
    tmp_path: Path, clean: pl.DataFrame, material: FeatureContext
) -> None:
    engine, newest = database(tmp_path), clean.tail(20)
    log(engine, newest.head(10), material.served.matrix[-20:-10] * 0,
        reasons=[{"code": HISTORY_UNAVAILABLE}])  # fmt: skip
    log(engine, newest.tail(10), material.served.matrix[-10:])
    found = read_served(engine, NOW_US, FEATURE_SET)
    engine.dispose()
    assert set(found.transaction_ids) == set(newest.tail(10)["transaction_id"])
