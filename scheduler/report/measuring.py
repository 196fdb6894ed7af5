"""Measured for a report: one model's curves, candidate against champion, and columns' importance.

Differences on the whole and on parts of the rows have 95 % intervals for people: two-sided, with
fewer resamples. The verdict decides.

Permutation importance is what the served graph loses when a column is shuffled, measured on
held-out rows. Of a binary task in area under the ROC curve: the area does not depend on how many
rows of each class are examined, so a sample that keeps the rare class stays honest. Of another task
in the metric that decides.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from scheduler.report.data import (
    ALL_ROWS,
    Curve,
    Gain,
    Histogram,
    Importance,
    MetricDifference,
    ModelView,
    Reliability,
)
from scheduler.report.task_views import Floats
from scheduler.statistics.compare import MetricComparison, NotComparable, compare_sample, shown
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.ranking import auc_with_influence
from scheduler.statistics.sample import Bools, Codes
from shared.tasks import TaskKind
from shared.usecase.serving import FloatMatrix

POINTS = 300
BINS = 40
RELIABILITY_BINS = 12
MIN_BIN_ROWS = 20
FARTHEST_ODDS = 9.2
"""Log-odds of about 0.0001 and 0.9999; scores beyond are drawn at the rim."""

_TWO_SIDED_95 = 1.959964


def view(version: str, scores: Floats, positive: Bools) -> ModelView | None:
    """Everything that is drawn of a model; None when there is only one class."""
    if positive.all() or not positive.any() or not np.isfinite(scores).all():
        return None
    false_alarms, found, _ = roc_curve(positive, scores)
    precision, recall, _ = precision_recall_curve(positive, scores)
    return ModelView(
        version=version,
        auc=float(roc_auc_score(positive, scores)),
        average_precision=float(average_precision_score(positive, scores)),
        roc=thin(false_alarms, found),
        precision_recall=thin(recall, precision),
        reliability=_reliability(scores, positive) if are_probabilities(scores) else None,
        histogram=_histogram(scores, positive),
    )


def are_probabilities(scores: Floats) -> bool:
    return bool(scores.min() >= 0.0 and scores.max() <= 1.0)


def log_odds(probabilities: Floats) -> Floats:
    """A scale on which one in ten thousand and one in a hundred are distinct."""
    inside = np.clip(probabilities, 1e-12, 1 - 1e-12)
    odds = np.log(inside / (1 - inside))
    return np.asarray(np.clip(odds, -FARTHEST_ODDS, FARTHEST_ODDS))


def thin(x: Floats, y: Floats) -> Curve:
    """Points spread evenly along the curve, at most as many as are visible, with both ends."""
    if len(x) <= POINTS:
        return Curve(x, y)
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0.0, walked[-1], POINTS)
    kept = np.unique(np.searchsorted(walked, wanted).clip(0, len(x) - 1))
    return Curve(x[kept], y[kept])


def _reliability(scores: Floats, positive: Bools) -> Reliability:
    """Bins of equal width in log-odds; bins of a few rows would only show chance."""
    edges = np.linspace(-FARTHEST_ODDS, FARTHEST_ODDS, RELIABILITY_BINS + 1)
    which = np.digitize(log_odds(scores), edges[1:-1])
    rows = np.bincount(which, minlength=RELIABILITY_BINS)
    kept = rows >= MIN_BIN_ROWS
    predicted = np.bincount(which, weights=scores, minlength=RELIABILITY_BINS)[kept] / rows[kept]
    observed = np.bincount(which, weights=positive, minlength=RELIABILITY_BINS)[kept] / rows[kept]
    return Reliability(predicted, observed, *_wilson(observed, rows[kept].astype(np.float64)))


def _wilson(share: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """The interval of a share that also holds where nothing, or everything, was found."""
    squared = _TWO_SIDED_95**2
    middle = (share + squared / (2 * rows)) / (1 + squared / rows)
    reach = _TWO_SIDED_95 * np.sqrt(share * (1 - share) / rows + squared / (4 * rows**2))
    reach = reach / (1 + squared / rows)
    return np.clip(middle - reach, 0.0, 1.0), np.clip(middle + reach, 0.0, 1.0)


def _histogram(scores: Floats, positive: Bools) -> Histogram:
    values = log_odds(scores) if are_probabilities(scores) else scores
    low, high = np.quantile(values, [0.0005, 0.9995])
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    values = np.clip(values, edges[0], edges[-1])
    positives, negatives = (
        np.histogram(values[mask], edges)[0] / np.count_nonzero(mask)
        for mask in (positive, ~positive)
    )
    return Histogram(edges, positives, negatives)


METRICS = ("average_precision", "auc", "recall_at_budget")
ALPHA = 0.025
RESAMPLES = 400
READ = MeasurementPlan(RESAMPLES)


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The held-out rows as both models saw them.

    Attributes:
        champion: its scores, None when it has none.
        clusters: (rows, 2) codes of customer and day, None where rows have no customer.
        slices: name -> rows.
        plan: how to measure; resamples are few, for these figures decide nothing.
    """

    positive: Bools
    candidate: Floats
    champion: Floats | None
    clusters: npt.NDArray[np.int64] | None
    slices: Mapping[str, Bools]
    plan: MeasurementPlan = READ

    def evidence(self) -> Evidence:
        columns: tuple[Any, Any] = (None, None)
        if self.clusters is not None:
            columns = (self.clusters[:, 0], self.clusters[:, 1])
        labels = self.positive.astype(np.int8)
        return Evidence(self.champion, self.candidate, labels, *columns)


def overall(scored: ScoredRows, metrics: Sequence[str] = METRICS) -> Iterator[Gain]:
    """All rows, by every metric; nothing where there is no champion to compare with."""
    yield from gains_of(scored.evidence(), metrics, scored.plan)


def by_slice(scored: ScoredRows, metric: str) -> Iterator[Gain]:
    """Every slice, by one metric; without a champion only how many rows and positives."""
    evidence = replace(scored.evidence(), slices=scored.slices)
    yield from gains_by_slice(evidence, metric, scored.plan)


def gains_of(evidence: Evidence, metrics: Sequence[str], plan: MeasurementPlan) -> Iterator[Gain]:
    """All rows of any task, by every metric; nothing without a champion."""
    if evidence.champion is not None:
        for metric in metrics:
            yield _gain(ALL_ROWS, metric, evidence, None, plan)


def gains_by_slice(evidence: Evidence, metric: str, plan: MeasurementPlan) -> Iterator[Gain]:
    """Every slice of any task, by one metric."""
    for name, mask in evidence.slices.items():
        yield _gain(name, metric, evidence, mask, plan)


def _gain(
    name: str, metric: str, evidence: Evidence, mask: Bools | None, plan: MeasurementPlan
) -> Gain:
    inside = evidence.labels if mask is None else evidence.labels[mask]
    is_binary = evidence.task.kind is TaskKind.BINARY
    rows, positives = len(inside), int(np.count_nonzero(inside == 1)) if is_binary else 0
    try:
        found = compare_sample(evidence.sample(mask), metric, ALPHA, plan)
    except NotComparable as problem:
        return Gain(name, metric, rows, positives, problem=problem.reason)
    return _shown(name, found, rows)


def _shown(name: str, found: MetricComparison, rows: int) -> Gain:
    sides = (shown(found.metric, side) for side in (found.champion, found.candidate))
    values = (*sides, found.difference, found.lower, found.upper)
    if not np.isfinite(values).all():
        return Gain(name, found.metric, rows, found.positives, problem="cannot be measured")
    return Gain(name, found.metric, rows, found.positives, MetricDifference(*values))


MAX_POSITIVES, MAX_NEGATIVES = 250, 750
REPEATS = 2
Score = Callable[[FloatMatrix], Floats]
Value = Callable[[FloatMatrix], float]


def sample_rows(positive: Bools, rng: np.random.Generator) -> Codes:
    """Rows to examine: some of each class, in a fixed order for a fixed seed."""
    parts = []
    for mask, most in ((positive, MAX_POSITIVES), (~positive, MAX_NEGATIVES)):
        rows = np.flatnonzero(mask)
        parts.append(rng.choice(rows, min(most, len(rows)), replace=False))
    return np.sort(np.concatenate(parts)).astype(np.int64)


def sample_of(count: int, rng: np.random.Generator) -> Codes:
    """Rows of another task than the binary one, in order."""
    most = min(count, MAX_POSITIVES + MAX_NEGATIVES)
    return np.sort(rng.choice(count, most, replace=False)).astype(np.int64)


def importances(
    score: Score,
    matrix: FloatMatrix,
    positive: Bools,
    columns: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
) -> tuple[Importance, ...]:
    """The AUC lost by shuffling each named set of columns, largest loss first."""

    def area(changed: FloatMatrix) -> float:
        return auc_with_influence(score(changed), positive)[0]

    return importances_by(area, matrix, columns, rng)


def importances_by(
    value: Value,
    matrix: FloatMatrix,
    columns: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
) -> tuple[Importance, ...]:
    """The same by any value of which more is better."""
    whole = value(matrix)
    found = []
    for name, places in columns.items():
        lost = [whole - value(_shuffled(matrix, places, rng)) for _ in range(REPEATS)]
        found.append(Importance(name, float(np.mean(lost)), min(lost), max(lost)))
    return tuple(sorted(found, key=lambda item: -item.loss))


def _shuffled(matrix: FloatMatrix, places: Sequence[int], rng: np.random.Generator) -> FloatMatrix:
    """The rows with these columns, kept together, of other rows."""
    changed = matrix.copy()
    changed[:, places] = matrix[rng.permutation(len(matrix))][:, places]
    return changed
