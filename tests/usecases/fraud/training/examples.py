"""Small made-up data: feature rows for training, snapshots for quality and split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.usecase.learning import Candidate, Labels
from shared.usecase.serving import FloatMatrix
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.features.categories import MERCHANT_CATEGORIES
from usecases.fraud.training.candidate import (
    FittedComponents,
    FraudTrainingRequest,
    train_candidate,
)
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.recipe import (
    AutoencoderRecipe,
    BoostingRecipe,
    ClassifierChoice,
    ClassifierRecipe,
    ForestRecipe,
    FraudRecipe,
    IsolationForestRecipe,
    RowDraw,
    WordsRecipe,
)
from usecases.fraud.training.snapshot import SCHEMA

AS_OF_US = 1_700_000_000_000_000

CATEGORY = FEATURE_SET.names.index("merchant_category_code")
COUNTRY = FEATURE_SET.names.index("country_code")
CODES = range(FEATURE_SET.names.index("transaction_type_code"), len(FEATURE_SET.names))
RISKY, USUAL, RARE, NEVER = (
    MERCHANT_CATEGORIES[word] for word in ("casino", "bakery", "zoo", "never seen")
)


def drawn(**given: int) -> RowDraw:
    usual = {
        "max_positives": 4_000,
        "negatives_per_positive": 50,
        "min_negatives": 20_000,
        "max_negatives": 40_000,
    }
    return RowDraw(**(usual | given))


def blend(
    share: float = 0.6, learning_rate: float = 0.075, trees: int = 20, **given: int
) -> ClassifierRecipe:
    """A small classifier; `given` are the rows it draws, a share of 0 means no forest."""
    rows = drawn(**given)
    forest = ForestRecipe(trees=trees, min_samples_leaf=10, max_features=0.5, rows=rows)
    return ClassifierRecipe(
        newest_share=1.0,
        forest_share=share,
        forest=forest if share else None,
        boosting=BoostingRecipe(
            trees=trees, learning_rate=learning_rate, max_leaves=15, l2=1.0, rows=rows
        ),
    )


def choice_among(candidates: Mapping[str, ClassifierRecipe], **given: Any) -> ClassifierChoice:
    usual = {
        "validation_share": 0.2,
        "parts": 2,
        "parts_from_rows": 1_000_000,
        "parts_to_rows": 1_000_000,
        "max_negatives": 100_000,
        "max_node_visits": 5_000,
        "baseline": next(iter(candidates)),
        "margin": 0.0,
        "words": WordsRecipe(min_rows=20, max_words=50, prior_rows=50),
    }
    return ClassifierChoice(candidates=candidates, **(usual | given))


QUICK = FraudRecipe(
    classifier=choice_among({"blend": blend()}),
    isolation_forest=IsolationForestRecipe(trees=20, max_samples=256),
    autoencoder=AutoencoderRecipe(steps=60, batch_rows=256),
)


@dataclass(frozen=True)
class Trained:
    ask: FraudTrainingRequest
    fitted: FittedComponents
    candidate: Candidate


def silent(_what: str, _share: float) -> None:
    """Progress nobody watches."""


def example_rows(count: int, seed: int) -> tuple[FloatMatrix, Labels]:
    """Rows with long tails, whole numbers and constants; large and risky ones are positive."""
    rng = np.random.default_rng(seed)
    matrix = rng.exponential(50.0, size=(count, len(FEATURE_SET.names)))
    for name in ("cnt_1h", "cnt_24h", "is_night", "is_weekend"):
        matrix[:, FEATURE_SET.names.index(name)] = rng.integers(0, 3, count)
    for name in ("km_from_home", "is_new_location_30d"):
        matrix[:, FEATURE_SET.names.index(name)] = 0.0
    amount, risk = (FEATURE_SET.names.index(n) for n in ("amount", "merchant_fraud_rate_7d_lag"))
    matrix[:, risk] = rng.beta(1, 50, count)
    odds = 0.03 * (matrix[:, amount] - 150) + 30 * (matrix[:, risk] - 0.1)
    labels = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return matrix.astype(np.float32), labels


def snapshot_of(
    event_times: npt.NDArray[np.int64], labels: Sequence[int | None], delay_days: float = 7.0
) -> pl.DataFrame:
    """Clean rows at the given instants, labels known this many days later."""
    delay = round(delay_days * MICROS_PER_DAY)
    numbers = range(len(event_times))
    columns = {
        "transaction_id": [f"t{i}" for i in numbers],
        "user_id": [f"u{i % 50}" for i in numbers],
        "event_time": event_times.tolist(),
        "ingested_at": event_times.tolist(),
        "amount": [1.0 + i % 97 for i in numbers],
        "currency": ["EUR" for _ in numbers],
        "merchant_id": [f"m{i % 20}" for i in numbers],
        "transaction_type": ["purchase" for _ in numbers],
        "label": list(labels),
        "label_known_at": [
            None if label is None else int(instant) + delay
            for instant, label in zip(event_times, labels, strict=True)
        ],
        "label_source": [None if label is None else "import" for label in labels],
    }
    absent = [None for _ in numbers]
    return pl.DataFrame(
        [pl.Series(name, columns.get(name, absent), dtype) for name, dtype in SCHEMA.items()]
    )


def labelled_history(days: float = 180.0, count: int = 4_000, every: int = 40) -> pl.DataFrame:
    """Evenly spaced rows up to the present, one in `every` positive, labels 7 days late."""
    times = np.linspace(AS_OF_US - days * MICROS_PER_DAY, AS_OF_US, count).astype(np.int64)
    matured = times <= AS_OF_US - 7 * MICROS_PER_DAY
    labels = [int(i % every == 0) if known else None for i, known in enumerate(matured)]
    return snapshot_of(times, labels)


def worded_rows(count: int, seed: int) -> tuple[FloatMatrix, Labels]:
    """Positives are nearly all in one category; a few rows say another, half no country."""
    matrix, _ = example_rows(count, seed)
    rng = np.random.default_rng(seed)
    matrix[:, CODES.start : CODES.stop] = np.nan
    matrix[:, CATEGORY] = rng.choice([RISKY, USUAL], count, p=[0.1, 0.9])
    matrix[:5, CATEGORY] = RARE
    matrix[:, COUNTRY] = np.where(rng.random(count) < 0.5, np.nan, 70_000.0)
    chance = np.where(matrix[:, CATEGORY] == RISKY, 0.5, 0.005)
    return matrix, (rng.random(count) < chance).astype(np.int8)


def with_category(rows: FloatMatrix, code: float) -> FloatMatrix:
    changed = rows.copy()
    changed[:, CATEGORY] = code
    return changed


@cache
def explained_graph(share: float) -> bytes:
    """A served graph whose classifier has a forest of this share; 0: boosting alone."""
    matrix, labels = worded_rows(3_000, seed=1)
    request = FraudTrainingRequest(
        matrix=matrix,
        labels=labels,
        feature_names=FEATURE_SET.names,
        feature_set_version=FEATURE_SET.version,
        thresholds=read_policy().thresholds,
        seed=0,
        recipe=replace(QUICK, classifier=choice_among({"it": blend(share)})),
    )
    return train_candidate(request, silent).files["model.onnx"]
