"""Features, split and served vectors of a clean snapshot, and faults to inject into them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from shared.errors import TrainingFailed
from shared.usecase.learning import Split
from usecases.fraud.features import batch
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.policy import FraudPolicy
from usecases.fraud.training.quality.features import FeatureContext
from usecases.fraud.training.quality.served import Served
from usecases.fraud.training.split import chronological_split

SERVED = 500


def material_of(
    snapshot: pl.DataFrame, as_of_us: int, policy: FraudPolicy
) -> FeatureContext | None:
    """The cycle's examples, with the newest rows as if served; None if too few to split."""
    matrix = batch.compute(snapshot)
    try:
        split = chronological_split(snapshot, as_of_us, policy.split)
    except TrainingFailed:
        return None
    newest = tuple(snapshot["transaction_id"].tail(SERVED).to_list())
    served = Served(newest, FEATURE_SET.names, matrix[-SERVED:].copy())
    return FeatureContext(policy.quality, FEATURE_SET.names, matrix, split, served)


Inject = Callable[[FeatureContext, pl.DataFrame], FeatureContext]


@dataclass(frozen=True, slots=True)
class FeatureFault:
    """A change of features or split, and the fault that the verdict has to name."""

    name: str
    said: str
    column: str
    inject: Inject


def _place(name: str) -> int:
    return FEATURE_SET.names.index(name)


def _leak(context: FeatureContext, snapshot: pl.DataFrame) -> FeatureContext:
    """The label, with a little noise, as one of the features."""
    matrix = context.matrix.copy()
    noise = np.random.default_rng(1).normal(0, 0.2, len(matrix))
    matrix[:, _place("cnt_7d")] = snapshot["label"].fill_null(0).to_numpy() + noise
    return replace(context, matrix=matrix)


def _leak_by_absence(context: FeatureContext, snapshot: pl.DataFrame) -> FeatureContext:
    """A feature that is filled in only for what turned out to be positive."""
    matrix = context.matrix.copy()
    matrix[snapshot["label"].fill_null(0).to_numpy() == 0, _place("km_from_prev")] = np.nan
    return replace(context, matrix=matrix)


def _mix(context: FeatureContext, _snapshot: pl.DataFrame) -> FeatureContext:
    split = context.split
    train = np.concatenate((split.train, split.held_out[::20]))
    return replace(context, split=Split(np.sort(train), split.held_out))


def _label_known_late(context: FeatureContext, _snapshot: pl.DataFrame) -> FeatureContext:
    """Removes the gap between training and held-out window: its labels arrived afterwards."""
    split = context.split
    between = np.arange(split.train[-1] + 1, split.held_out[0])
    return replace(context, split=Split(np.concatenate((split.train, between)), split.held_out))


def _skew(context: FeatureContext, _snapshot: pl.DataFrame) -> FeatureContext:
    """The serving code took local time for UTC in one row of four."""
    served = context.served
    matrix = served.matrix.copy()
    matrix[::4, _place("hour_sin")] *= -1
    return replace(context, served=replace(served, matrix=matrix))


def _infinite(context: FeatureContext, _snapshot: pl.DataFrame) -> FeatureContext:
    matrix = context.matrix.copy()
    matrix[::100, _place("amount_to_avg_30d")] = np.inf
    return replace(context, matrix=matrix)


FEATURE_FAULTS: tuple[FeatureFault, ...] = (
    FeatureFault("label leakage", "label_leakage", "cnt_7d", _leak),
    FeatureFault("label leakage by absence", "label_leakage", "km_from_prev", _leak_by_absence),
    FeatureFault("test rows in training", "test_rows_in_training", "transaction_id", _mix),
    FeatureFault(
        "labels of the test window", "label_from_test_window", "label_known_at", _label_known_late
    ),
    FeatureFault("served features differ", "served_features_differ", "hour_sin", _skew),
    FeatureFault("infinite features", "feature_infinite", "amount_to_avg_30d", _infinite),
)
