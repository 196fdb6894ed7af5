"""The feature-quality gate: what can only be seen once features and split are there.

A feature that knows the label, rows that are in training and held out, features that were served
with other values than are recomputed, and infinite ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import rankdata

from learning.dataset.mapped import passes
from learning.dataset.scanned import Snapshot, rows_at
from shared.usecase.learning import Split
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Finding, Number, Severity, Verdict, conclude

from ..policy import QualityPolicy
from .served import Served

MIN_POSITIVES = 30
POSITIVES, NEGATIVES = 5_000, 20_000
"""Sample sizes of the classes with which an AUC is precise to within .002."""

SEED = 0

MIN_COMPARED = 50
TOLERANCE = 1e-3
"""Relative to the larger of 1 and the value: rounding is not skew."""

LISTED = 3

GATE = "feature_quality"


@dataclass(frozen=True, slots=True)
class FeatureContext:
    """Everything but the snapshot; `matrix` has its rows in the order of the snapshot.

    Attributes:
        categories: names of the features that are codes of words.
    """

    policy: QualityPolicy
    names: tuple[str, ...]
    matrix: FloatMatrix
    split: Split
    served: Served
    categories: frozenset[str] = frozenset()

    def label_of(self, snapshot: Snapshot) -> pl.Series:
        """Labels of the rows that are learned from."""
        return snapshot["label"].gather(self.split.train)


def leaking_features(snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """Features whose values, or whose absence, give the label away."""
    labels = context.label_of(snapshot).to_numpy()
    rng = np.random.default_rng(SEED)
    positive = _some(rng, context.split.train[labels == 1], POSITIVES)
    negative = _some(rng, context.split.train[labels == 0], NEGATIVES)
    if len(positive) < MIN_POSITIVES or not len(negative):
        return []
    here, there = context.matrix[positive], context.matrix[negative]
    found = []
    for place, name in enumerate(context.names):
        known = auc(here[:, place], there[:, place])
        absent = (1 + abs(np.isnan(here[:, place]).mean() - np.isnan(there[:, place]).mean())) / 2
        best = max(known, 1 - known, float(absent))
        if best > context.policy.max_feature_auc:
            says = f"alone has AUC {best:.4f} for the label, above {context.policy.max_feature_auc}"
            found.append(Finding("label_leakage", name, says, {"auc": best}, Severity.RUIN))
    return found


def auc(positives: npt.NDArray[np.float32], negatives: npt.NDArray[np.float32]) -> float:
    """The chance that a positive has the larger value; one half when too few are known."""
    above = positives[np.isfinite(positives)]
    below = negatives[np.isfinite(negatives)]
    if len(above) < MIN_POSITIVES or not len(below):
        return 0.5
    ranks = rankdata(np.concatenate((above, below)))
    won = ranks[: len(above)].sum() - len(above) * (len(above) + 1) / 2
    return float(won / (len(above) * len(below)))


def _some(
    rng: np.random.Generator, rows: npt.NDArray[np.int64], most: int
) -> npt.NDArray[np.int64]:
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)


def mixed_rows(snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """Rows that are judged on and were learned from, or are older than what was learned."""
    columns = ("transaction_id", "event_time", "label_known_at")
    train, held_out = (
        rows_at(snapshot, rows, columns) for rows in (context.split.train, context.split.held_out)
    )
    if train.is_empty() or held_out.is_empty():
        return []
    start: int = held_out["event_time"].min()  # type: ignore[assignment]
    ids = held_out["transaction_id"].implode()
    counts = train.select(
        shared=pl.col("transaction_id").is_in(ids).sum(),
        late=(pl.col("event_time") >= start).sum(),
        known_late=(pl.col("label_known_at") > start).sum(),
    ).row(0, named=True)
    listed = (
        ("test_rows_in_training", "transaction_id", "are held out as well", "shared"),
        ("training_in_test_window", "event_time", "happened in the held-out window", "late"),
        ("label_from_test_window", "label_known_at", "were labelled after it began", "known_late"),
    )
    return [
        Finding(
            fault,
            column,
            f"of {counts[key]} of {train.height} training rows {what}",
            {"rows": counts[key]},
            Severity.RUIN,
        )
        for fault, column, what, key in listed
        if counts[key]
    ]


def skewed_features(snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """One finding for all features: they mostly go wrong together."""
    served, recomputed = _side_by_side(snapshot, context)
    if len(served) < MIN_COMPARED:
        return []
    words = [name in context.categories for name in context.served.names]
    # codes of categories must be equal
    tolerance = np.where(words, 0.0, TOLERANCE)
    wrong = ~np.isclose(served, recomputed, rtol=tolerance, atol=tolerance, equal_nan=True)
    shares = wrong.mean(axis=0)
    names = context.served.names
    bad = [int(place) for place in np.argsort(-shares, kind="stable")]
    bad = [place for place in bad if shares[place] > context.policy.max_skewed_share]
    if not bad:
        return []
    listed = ", ".join(f"{names[place]} in {shares[place]:.0%}" for place in bad[:LISTED])
    says = f"differs from the recomputed value in {shares[bad[0]]:.0%} of {len(served)} served rows"
    numbers: dict[str, Number] = {
        "share": float(shares[bad[0]]),
        "compared": len(served),
        "features": len(bad),
        "example": _example(served, recomputed, wrong, bad[0]),
    }
    return [Finding("served_features_differ", names[bad[0]], f"{says} ({listed})", numbers)]


def infinite_features(_snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """Unknown is NaN; an infinite feature is an unhandled division by zero."""
    # the sum of a column is finite or NaN unless it holds an infinity or overflows
    sums = np.zeros(len(context.names))
    for part in passes(context.matrix):
        sums += part.sum(axis=0, dtype=np.float64)
    suspects = np.flatnonzero(~np.isfinite(sums))
    infinite = np.zeros(len(suspects), dtype=np.int64)
    for part in passes(context.matrix) if len(suspects) else ():
        infinite += np.isinf(part[:, suspects]).sum(axis=0)
    counts = {int(place): int(count) for place, count in zip(suspects, infinite, strict=True)}
    return [
        Finding(
            "feature_infinite",
            context.names[place],
            f"is infinite in {count} rows",
            {"rows": count},
        )
        for place, count in counts.items()
        if count
    ]


def _side_by_side(snapshot: Snapshot, context: FeatureContext) -> tuple[FloatMatrix, FloatMatrix]:
    """Served and recomputed vectors of the same rows, the same columns."""
    served = context.served
    ids = pl.DataFrame(
        {"transaction_id": served.transaction_ids}, schema={"transaction_id": pl.String}
    ).with_row_index("place")
    rows = snapshot.lazy().select("transaction_id").with_row_index("row")
    both = rows.join(ids.lazy(), on="transaction_id", how="inner").collect()
    columns = np.array([context.names.index(name) for name in served.names], dtype=np.int64)
    recomputed = context.matrix[np.ix_(both["row"].to_numpy(), columns)]
    return served.matrix[both["place"].to_numpy()], recomputed


def _example(
    served: FloatMatrix,
    recomputed: FloatMatrix,
    wrong: npt.NDArray[np.bool_],
    place: int,
) -> str:
    row = int(np.argmax(wrong[:, place]))
    return f"served {served[row, place]:g}, recomputed {recomputed[row, place]:g}"


FeatureCheck = Callable[[Snapshot, FeatureContext], list[Finding]]

CHECKS: tuple[FeatureCheck, ...] = (
    leaking_features,
    mixed_rows,
    skewed_features,
    infinite_features,
)


def judge_features(snapshot: Snapshot, context: FeatureContext) -> Verdict:
    """PASS when no check finds a fault; FAIL names each, worst first."""
    findings = [found for check in CHECKS for found in check(snapshot, context)]
    numbers: dict[str, Number] = {
        "train_rows": len(context.split.train),
        "held_out_rows": len(context.split.held_out),
        "features": len(context.names),
        "served_rows": len(context.served.transaction_ids),
    }
    clean = f"{len(context.names)} features, {numbers['served_rows']} served rows compared"
    return conclude(GATE, findings, context.policy.accepted, numbers, clean)
