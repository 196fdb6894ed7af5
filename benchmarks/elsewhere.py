"""The quality of the shipped recipe on any data, beside plain gradient boosting.

`make bench-elsewhere DATA=FILE MAPPING=TOML TRAIN_BEFORE=DATE TEST_FROM=DATE` imports what
`understudy import` takes, computes the features, trains on the rows before one date, with the
labels known by the other, and judges the graph that would be served on the rows since. Three
seeds, of which the median counts. Plain is scikit-learn's own boosting on the same inputs, on
all rows, words as its own categories up to its limit, no early stopping. Two settings of
it are measured and the better one counts: its defaults with 200 trees, and slower, smaller ones.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sqlalchemy import Engine
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.report import Bar, finish
from benchmarks.scoring import bundle_of
from shared.clock import SystemClock, to_micros
from shared.errors import UnderstudyError
from shared.importing.importer import import_files
from shared.importing.mapping import read_mapping
from shared.scoring.session import OnnxModel
from shared.tables.engine import connect, migrate
from shared.usecase.learning import CHOSEN, Labels
from shared.usecase.serving import FloatMatrix
from usecases import load_learning
from usecases.fraud.exports import LABEL_WORDS
from usecases.fraud.training.candidate import FraudTrainingRequest, train_candidate
from usecases.fraud.training.policy import read_policy

SEEDS = (0, 1, 2)
PLAIN: Mapping[str, Mapping[str, float]] = {
    "defaults": {},
    "slow": {"learning_rate": 0.05, "max_leaf_nodes": 15, "l2_regularization": 1.0},
}
PLAIN_TREES = 200
MOST_CATEGORIES = 255
"""The most categories scikit-learn's boosting accepts; columns with more become numbers."""

BARS: Mapping[str, Bar] = {"ap_over_plain": (">=", -0.005)}
Figures = dict[str, float]
USE_CASE = load_learning("fraud")


class Unusable(UnderstudyError):
    """Raised when the data cannot be measured as asked; says what to change."""


@dataclass(frozen=True, slots=True)
class Halves:
    """Training rows and held-out rows, each in the order of time."""

    train: FloatMatrix
    train_labels: Labels
    test: FloatMatrix
    test_labels: Labels


def main(arguments: list[str] | None = None) -> None:
    asked = argparse.ArgumentParser(prog="make bench-elsewhere", description=__doc__)
    asked.add_argument("--data", required=True, help="a file or folder to import (DATA)")
    asked.add_argument("--mapping", required=True, help="its mapping, a TOML file (MAPPING)")
    asked.add_argument("--train-before", required=True, help="a date (TRAIN_BEFORE)")
    asked.add_argument("--test-from", required=True, help="a date (TEST_FROM)")
    asked.add_argument("--seeds", type=int, default=len(SEEDS), help="how many trainings")
    options = asked.parse_args(arguments)
    try:
        figures = of_files(
            Path(_given("DATA", options.data)),
            Path(_given("MAPPING", options.mapping)),
            _instant_us("TRAIN_BEFORE", options.train_before),
            _instant_us("TEST_FROM", options.test_from),
            options.seeds,
        )
    except UnderstudyError as error:
        say(f"cannot measure: {error}")
        sys.exit(2)
    finish("elsewhere", figures, BARS)


def of_files(
    data: Path, mapping: Path, train_before_us: int, test_from_us: int, seeds: int = len(SEEDS)
) -> Figures:
    """Import, then measure.

    Raises:
        UnderstudyError: the data, the mapping or the dates cannot be used.
    """
    if test_from_us < train_before_us:
        raise Unusable("TEST_FROM lies before TRAIN_BEFORE: rows would be learned and judged")
    if not data.exists():
        raise Unusable(f"DATA: there is no {data}")
    wanted = read_mapping(mapping).knowing(LABEL_WORDS)
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{Path(folder) / 'elsewhere.db'}")
        migrate(engine)
        summary = import_files(
            engine,
            [data],
            wanted,
            Path(folder) / "rejects.csv",
            SystemClock().now_us(),
            progress=lambda _share, _counts: None,
        )
        say(f"imported {summary.inserted} rows, rejected {summary.rejected}")
        if not summary.inserted:
            reasons = ", ".join(reason for reason, _ in summary.reasons.most_common(3))
            raise Unusable(f"DATA: no row was imported: {reasons or 'there is none'}")
        try:
            figures = measure(engine, train_before_us, test_from_us, seeds)
        finally:
            engine.dispose()
    return {"rows": summary.inserted, "rejected": summary.rejected, **figures}


def measure(
    engine: Engine, train_before_us: int, test_from_us: int, seeds: int = len(SEEDS)
) -> Figures:
    """The shipped recipe and plain boosting on what a database holds.

    Raises:
        Unusable: one of the halves lacks rows or a class.
    """
    halves = _halves(engine, train_before_us, test_from_us)
    figures: Figures = {
        "train_rows": len(halves.train_labels),
        "train_positives": int(halves.train_labels.sum()),
        "test_rows": len(halves.test_labels),
        "test_positives": int(halves.test_labels.sum()),
    }
    began = time.perf_counter()
    measured = [_judged(halves, scores) for scores in plain_scores(halves)]
    plain = max(measured, key=lambda each: each["ap"])
    say(f"plain: {measured} in {time.perf_counter() - began:.0f} s")
    shipped = [_judged(halves, shipped_scores(halves, seed)) for seed in range(seeds)]
    ours = {name: float(np.median([each[name] for each in shipped])) for name in plain}
    figures |= ours | {f"{name}_plain": value for name, value in plain.items()}
    figures["ap_over_plain"] = ours["ap"] - plain["ap"]
    return {name: round(value, 4) for name, value in figures.items()}


def shipped_scores(halves: Halves, seed: int) -> npt.NDArray[np.float64]:
    """Scores of the real training: packed as a bundle, computed by its graph as served."""
    request = FraudTrainingRequest(
        matrix=halves.train,
        labels=halves.train_labels,
        feature_names=USE_CASE.feature_set.names,
        feature_set_version=USE_CASE.feature_set.version,
        thresholds=read_policy().thresholds,
        seed=seed,
    )
    began = time.perf_counter()
    candidate = train_candidate(request, lambda _what, _share: None)
    model = OnnxModel.load(bundle_of(candidate, request))
    say(f"seed {seed}: {candidate.hyperparameters[CHOSEN]}")
    scores = USE_CASE.headline(model.score(halves.test))
    say(f"seed {seed}: {_judged(halves, scores)} in {time.perf_counter() - began:.0f} s")
    return scores


def plain_scores(halves: Halves) -> Iterator[npt.NDArray[np.float64]]:
    """Histogram gradient boosting as its manual shows it."""
    train, test = halves.train.astype(np.float64), halves.test.astype(np.float64)
    # a column without any value makes scikit-learn fail
    empty = np.isnan(train).all(axis=0)
    train[:, empty], test[:, empty] = 0.0, 0.0
    categorical = []
    for column, name in enumerate(USE_CASE.feature_set.names):
        if name in USE_CASE.feature_set.categories:
            known = np.unique(train[:, column][~np.isnan(train[:, column])])
            if 0 < len(known) <= MOST_CATEGORIES:
                categorical.append(column)
                for matrix in (train, test):
                    matrix[:, column] = _places(matrix[:, column], known)
    for settings in PLAIN.values():
        boosting = HistGradientBoostingClassifier(
            max_iter=PLAIN_TREES,
            early_stopping=False,
            categorical_features=categorical or None,
            random_state=0,
            **settings,
        )
        with threadpool_limits(1):
            boosting.fit(train, halves.train_labels)
            yield boosting.predict_proba(test)[:, 1]


def _places(
    codes: npt.NDArray[np.float64], known: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """0, 1, ... for what is known; NaN for all else."""
    at = np.searchsorted(known, codes).clip(max=len(known) - 1)
    return np.where(known[at] == codes, at, np.nan)


def _halves(engine: Engine, train_before_us: int, test_from_us: int) -> Halves:
    rows = USE_CASE.snapshot(engine, SystemClock().now_us())
    matrix = USE_CASE.features(rows)
    labelled = pl.col("label").is_not_null()
    train = labelled & (pl.col("event_time") < train_before_us)
    known = train & (pl.col("label_known_at") <= test_from_us)
    judged = labelled & (pl.col("event_time") >= test_from_us)
    span = rows.select(pl.from_epoch("event_time", time_unit="us").dt.date()).to_series()
    found = f"; the rows are of {span.min()!s} to {span.max()!s}"
    halves = []
    for name, wanted in (("TRAIN_BEFORE", train), ("TEST_FROM", judged)):
        at = np.flatnonzero(rows.select(wanted.fill_null(value=False)).to_series().to_numpy())
        labels = rows[at]["label"].cast(pl.Int8).to_numpy()
        if len(np.unique(labels)) < 2:
            side = "before" if name == "TRAIN_BEFORE" else "since"
            raise Unusable(
                f"{name}: {len(labels)} labelled rows {side} that date, {int(labels.sum())} of "
                f"them positive; both classes are needed{found}"
            )
        if name == "TRAIN_BEFORE":
            at = np.flatnonzero(rows.select(known.fill_null(value=False)).to_series().to_numpy())
            labels = rows[at]["label"].cast(pl.Int8).to_numpy()
            if len(np.unique(labels)) < 2:
                raise Unusable(
                    f"TEST_FROM: of the rows before TRAIN_BEFORE only {len(labels)} had a label by "
                    f"then, {int(labels.sum())} of them positive: leave more days between"
                )
        halves += [np.ascontiguousarray(matrix[at]), labels]
    return Halves(*halves)


def _judged(halves: Halves, scores: npt.NDArray[np.float64]) -> Figures:
    return {
        "ap": round(float(average_precision_score(halves.test_labels, scores)), 4),
        "auc": round(float(roc_auc_score(halves.test_labels, scores)), 4),
    }


def _given(name: str, value: str) -> str:
    if not value:
        raise Unusable(
            f"{name} is missing: make bench-elsewhere DATA=FILE MAPPING=TOML TRAIN_BEFORE=DATE "
            "TEST_FROM=DATE"
        )
    return value


def _instant_us(name: str, text: str) -> int:
    """A date, or a date and time, in UTC where it names no zone."""
    try:
        instant = datetime.fromisoformat(_given(name, text))
    except ValueError as error:
        raise Unusable(f"{name}={text!r} is not a date: write it like 2020-06-01") from error
    return to_micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
