"""Measured for a report: candidate against champion, and the importance of columns.

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

from scheduler.report.data import ALL_ROWS, Gain, Importance, MetricDifference
from scheduler.report.task_views import Floats
from scheduler.statistics.compare import MetricComparison, NotComparable, compare_sample, shown
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.ranking import auc_with_influence
from scheduler.statistics.sample import Bools, Codes
from shared.tasks import TaskKind
from shared.usecase.serving import FloatMatrix

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
