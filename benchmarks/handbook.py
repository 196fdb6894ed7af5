"""The system's own models on the Handbook's prequential folds, beside the published rows.

`make bench-handbook` imports the file into a database as `understudy import` does, and for
each fold takes the real pipeline: snapshot as of the day the last test label is known,
features, the book's split, training, a packed bundle, and its graph scored as it is served.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from sqlalchemy import Engine

from benchmarks.handbook_book import PUBLISHED, Floats, book_features, book_scores
from benchmarks.handbook_dependence import Labelled, dependence
from benchmarks.handbook_history import PARQUET
from benchmarks.report import Bar, finish
from benchmarks.scoring import bundle_of
from scheduler.replay.protocol import handbook_split
from shared.clock import MICROS_PER_DAY, SystemClock, to_micros
from shared.importing.importer import import_files
from shared.importing.mapping import read_mapping
from shared.scoring.session import OnnxModel
from shared.tables.engine import connect, migrate
from shared.usecase.learning import Labels, Split
from shared.usecase.serving import FloatMatrix
from usecases import load_learning
from usecases.fraud.training.candidate import FraudTrainingRequest, train_candidate
from usecases.fraud.training.metrics import point_estimates
from usecases.fraud.training.policy import read_policy

MAPPING = Path("docs/examples/handbook-mapping.toml")
FOLDS = tuple(datetime(2018, *day, tzinfo=UTC) for day in ((7, 25), (8, 1), (8, 8), (8, 15)))
UNSUPERVISED = datetime(2018, 7, 11, tzinfo=UTC)
# a training week, the delay, the test week, and the delay until its labels are known
FOLD_US = 28 * MICROS_PER_DAY
END = datetime(2018, 10, 8, tzinfo=UTC)
ALERTS = 100
METRICS = {
    "auc": "auc",
    "ap": "average_precision",
    "card_precision": f"card_precision_{ALERTS}",
}
CLASSIFIER, ISOLATION_FOREST, AUTOENCODER = range(3)
BARS: Mapping[str, Bar] = {
    "system_auc": (">=", 0.876),
    "system_ap": (">=", 0.690),
    "system_card_precision": (">=", 0.303),
    "autoencoder_auc": (">=", 0.836),
    "isolation_forest_auc": (">=", 0.85),
    "farthest_from_published": ("<=", 0.01),
}
Figures = dict[str, float]
USE_CASE = load_learning("fraud")


@dataclass(frozen=True)
class Fold:
    """Training and test rows of one fold."""

    rows: pl.DataFrame
    split: Split
    scores: FloatMatrix

    def figures(self, component: int) -> Figures:
        return judged(self.rows, self.split, self.scores[:, component].astype(np.float64))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--no-dependence", action="store_true", help="leave the errors out")
    options = asked.parse_args()
    if not PARQUET.exists():
        say(f"no file at {PARQUET} (HANDBOOK_PARQUET): nothing to measure")
        finish("handbook", {}, BARS)
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{Path(folder) / 'handbook.db'}")
        migrate(engine)
        figures = imported(engine, Path(folder)) | system(engine)
        history = USE_CASE.snapshot(engine, to_micros(END))
        engine.dispose()
    labels = history["label"].cast(pl.Int8).to_numpy()
    figures |= book(history, labels)
    if not options.no_dependence:
        everything = Labelled(history, USE_CASE.features(history), labels)
        for days in (28, 7):
            found = dependence(everything, days)
            figures |= {f"models_of_{days}_days_{name}": value for name, value in found.items()}
            say(f"models of {days} days: {found}")
    finish("handbook", {name: round(value, 4) for name, value in figures.items()}, BARS)


def imported(engine: Engine, folder: Path) -> Figures:
    """The file in the database, by the importer and the mapping that the documents show."""
    started = time.perf_counter()
    summary = import_files(
        engine,
        [PARQUET],
        read_mapping(MAPPING),
        folder / "rejects.csv",
        SystemClock().now_us(),
        progress=lambda _share, _counts: None,
    )
    say(f"imported {summary.inserted} rows in {time.perf_counter() - started:.0f} s")
    return {"rows": float(summary.inserted), "rejected": float(summary.rejected)}


def system(engine: Engine) -> Figures:
    """The classifier over four folds; the anomaly models on the week the book tests them on."""
    folds = [fold(engine, start) for start in FOLDS]
    figures = over_folds("system", [item.figures(CLASSIFIER) for item in folds])
    for name, component in (
        ("autoencoder", AUTOENCODER),
        ("isolation_forest", ISOLATION_FOREST),
    ):
        mean = over_folds(name, [item.figures(component) for item in folds])
        figures |= {f"{key}_four_folds": value for key, value in mean.items()}
        say(f"{name}, four folds: {mean}")
    week = fold(engine, UNSUPERVISED)
    figures |= named("autoencoder", week.figures(AUTOENCODER))
    return figures | named("isolation_forest", week.figures(ISOLATION_FOREST))


def fold(engine: Engine, start: datetime) -> Fold:
    """One fold through the pipeline, from the database to the served graph's scores."""
    as_of_us = to_micros(start) + FOLD_US
    rows = USE_CASE.snapshot(engine, as_of_us)
    matrix = USE_CASE.features(rows)
    split = handbook_split(rows, as_of_us, "user_id")
    ask = FraudTrainingRequest(
        matrix=np.ascontiguousarray(matrix[split.train]),
        labels=rows[split.train]["label"].cast(pl.Int8).to_numpy(),
        feature_names=USE_CASE.feature_set.names,
        feature_set_version=USE_CASE.feature_set.version,
        thresholds=read_policy().thresholds,
        seed=0,
    )
    model = OnnxModel.load(bundle_of(train_candidate(ask, lambda _what, _share: None), ask))
    found = Fold(rows, split, model.score(np.ascontiguousarray(matrix[split.held_out])))
    for name, component in (("classifier", 0), ("isolation forest", 1), ("autoencoder", 2)):
        say(f"{start:%m-%d} {name}: {found.figures(component)}")
    return found


def book(history: pl.DataFrame, labels: Labels) -> Figures:
    """The published models, re-measured, and the largest distance to what was published."""
    features = book_features(history)
    found: dict[str, list[Figures]] = {name: [] for name in PUBLISHED}
    for start in FOLDS:
        split = handbook_split(history, to_micros(start) + FOLD_US, "user_id")
        for name, scores in book_scores(features, labels, split).items():
            found[name].append(judged(history, split, scores))
            say(f"{start:%m-%d} the book's {name}: {found[name][-1]}")
    figures: Figures = {}
    for name, folds in found.items():
        figures |= over_folds(f"book_{name}", folds)
    distances = [
        abs(figures[f"book_{name}_{metric}"] - value)
        for name, row in PUBLISHED.items()
        for metric, value in zip(METRICS, row, strict=True)
    ]
    return figures | {"farthest_from_published": max(distances)}


def judged(rows: pl.DataFrame, split: Split, scores: Floats) -> Figures:
    """The system's own metrics of the test rows."""
    test = rows[split.held_out]
    found = point_estimates(scores, test["label"].cast(pl.Int8).to_numpy(), test, ALERTS)
    return {short: round(found[name], 4) for short, name in METRICS.items()}


def over_folds(name: str, folds: list[Figures]) -> Figures:
    return named(name, {key: float(np.mean([f[key] for f in folds])) for key in METRICS})


def named(name: str, figures: Mapping[str, float]) -> Figures:
    return {f"{name}_{metric}": value for metric, value in figures.items()}


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
