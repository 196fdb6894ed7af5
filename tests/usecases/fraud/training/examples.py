"""Small made-up data: feature rows for training, snapshots for quality and split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.usecase.learning import Candidate, Labels
from shared.usecase.serving import FloatMatrix
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.candidate import Fitted, TrainingRequest
from usecases.fraud.training.recipe import (
    AutoencoderRecipe,
    ClassifierRecipe,
    IsolationForestRecipe,
    Recipe,
)
from usecases.fraud.training.snapshot import SCHEMA

AS_OF_US = 1_700_000_000_000_000

QUICK = Recipe(
    classifier=ClassifierRecipe(forest_trees=20, boosting_iterations=20),
    isolation_forest=IsolationForestRecipe(trees=20, max_samples=256),
    autoencoder=AutoencoderRecipe(steps=60, batch_rows=256),
)


@dataclass(frozen=True)
class Trained:
    ask: TrainingRequest
    fitted: Fitted
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
    """Clean rows at the given instants, labels known so many days later."""
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
