"""One row through a loaded bundle against one row through the libraries it was fitted with.

Native is scikit-learn and torch called with numpy, a row at a time and without worker threads:
classifier, isolation forest and autoencoder in turn, as a service without an export would. Both
sides score the same rows of a simulated history in one run, so only the ratio is a bar.
"""

import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.report import finish, no_options
from benchmarks.small_world import write_small_world
from shared.bundle.archive import Bundle, pack, unpack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.clock import SystemClock
from shared.scoring.session import OnnxModel
from shared.tables.engine import connect, migrate
from shared.usecase.learning import Candidate, Labels
from shared.usecase.serving import FloatMatrix
from usecases import load_learning
from usecases.fraud.training.candidate import (
    FittedComponents,
    FraudTrainingRequest,
    fit_components,
    train_candidate,
)
from usecases.fraud.training.policy import read_policy

HISTORY_ROWS = 20_000
NATIVE_ROWS, SERVED_ROWS, BATCH_ROWS = 200, 5_000, 20_000
TICK_ROWS = 16
WARM_UP = 20
MICROS_PER_SECOND = 1e6


@dataclass(frozen=True)
class Examples:
    """Training rows, and later rows to score."""

    matrix: FloatMatrix
    labels: Labels
    later: FloatMatrix


def main() -> None:
    no_options(__doc__)
    examples = simulated_examples()
    ask = ask_about(examples)
    fitted = fit_components(ask, _silent)
    model = OnnxModel.load(bundle_of(train_candidate(ask, _silent), ask))
    torch.set_num_threads(1)
    with threadpool_limits(1):
        figures = measure(fitted, model, examples.later)
    finish("scoring", figures, {"times_faster": (">=", 100.0)})


def ask_about(examples: Examples) -> FraudTrainingRequest:
    """The training request: all features of the use case, its own thresholds."""
    features = load_learning("fraud").feature_set
    return FraudTrainingRequest(
        matrix=examples.matrix,
        labels=examples.labels,
        feature_names=features.names,
        feature_set_version=features.version,
        thresholds=read_policy().thresholds,
        seed=0,
    )


def simulated_examples() -> Examples:
    """History of the simulated world, its features and its split."""
    use_case, now_us = load_learning("fraud"), SystemClock().now_us()
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{Path(folder) / 'history.db'}")
        migrate(engine)
        write_small_world(engine, now_us, HISTORY_ROWS)
        snapshot = use_case.snapshot(engine, now_us)
        engine.dispose()
    split = use_case.split(snapshot, now_us)
    matrix = use_case.features(snapshot)
    labels = snapshot[split.train]["label"].cast(pl.Int8).to_numpy()
    return Examples(matrix[split.train], labels, matrix[split.held_out])


def bundle_of(candidate: Candidate, ask: FraudTrainingRequest) -> Bundle:
    """The candidate packed as it would be pushed, and unpacked as the API would."""
    moment = datetime.now(UTC)
    inputs, outputs = served_signature(len(candidate.feature_names), len(candidate.components))
    manifest = Manifest(
        model_name="fraud",
        version="1.0.0",
        created_at=moment,
        use_case="fraud",
        frameworks=dict(candidate.frameworks),
        python_version=platform.python_version(),
        components=candidate.components,
        feature_names=candidate.feature_names,
        feature_set_version=candidate.feature_set_version,
        inputs=inputs,
        outputs=outputs,
        thresholds=dict(candidate.thresholds),
        hyperparameters=dict(candidate.hyperparameters),
        metrics={},
        training_data=TrainingData(
            rows=len(ask.labels),
            positives=int(ask.labels.sum()),
            window_start=moment,
            window_end=moment,
            sha256="0" * 64,
        ),
        description="measured, never served",
    )
    return unpack(pack(manifest, candidate.files))


def measure(fitted: FittedComponents, model: OnnxModel, rows: FloatMatrix) -> dict[str, float]:
    native = median_us(lambda row: native_scores(fitted, row), rows, NATIVE_ROWS)
    served = median_us(model.score, rows, SERVED_ROWS)
    return {
        "native_us": round(native, 1),
        "served_us": round(served, 2),
        "times_faster": round(native / served, 1),
        "tick_us_per_row": round(us_per_row(model, rows, TICK_ROWS), 2),
        "batch_us_per_row": round(us_per_row(model, rows, BATCH_ROWS), 2),
        "largest_difference": float(
            np.abs(native_scores(fitted, rows[:1_000]) - model.score(rows[:1_000])).max()
        ),
        "history_rows": float(HISTORY_ROWS),
    }


def us_per_row(model: OnnxModel, rows: FloatMatrix, together: int) -> float:
    """Microseconds per row at a batch size; the processor learns the branches of repeated rows."""
    many = np.ascontiguousarray(np.resize(rows, (BATCH_ROWS, rows.shape[1])))
    started = time.perf_counter()
    for begin in range(0, len(many), together):
        model.score(many[begin : begin + together])
    return (time.perf_counter() - started) / BATCH_ROWS * MICROS_PER_SECOND


def native_scores(fitted: FittedComponents, rows: FloatMatrix) -> FloatMatrix:
    parts = (fitted.classifier, fitted.isolation_forest, fitted.autoencoder)
    return np.column_stack([part.score(rows) for part in parts]).astype(np.float32)


def median_us(score: Callable[[FloatMatrix], FloatMatrix], rows: FloatMatrix, count: int) -> float:
    """Median microseconds of one call with one row."""
    taken = []
    for number in range(-WARM_UP, count):
        row = rows[number % len(rows)].reshape(1, -1)
        started = time.perf_counter()
        score(row)
        if number >= 0:
            taken.append(time.perf_counter() - started)
    return float(np.median(taken)) * MICROS_PER_SECOND


def _silent(_what: str, _share: float) -> None:
    """An observer without effect."""


if __name__ == "__main__":
    main()
