"""Candidate against champion on the whole and on parts of the rows, with 95 % intervals.

These intervals are for people: two-sided, with fewer resamples. The verdict decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler.report.data import ALL_ROWS, Gain, MetricDifference
from scheduler.report.task_views import Floats
from scheduler.statistics.compare import (
    MetricComparison,
    NotComparable,
    compare_sample,
    shown,
)
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.sample import Bools
from shared.tasks import TaskKind

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
