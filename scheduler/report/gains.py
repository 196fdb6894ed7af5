"""Candidate against champion on the whole and on parts of the rows, with 95 % intervals.

These intervals are for people: two-sided, with fewer resamples. The verdict decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler.report.data import ALL_ROWS, Floats, Gain, Measured
from scheduler.statistics.compare import MetricComparison, NotComparable, compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import Plan
from scheduler.statistics.sample import Bools

METRICS = ("average_precision", "auc", "recall_at_budget")
ALPHA = 0.025
RESAMPLES = 400
READ = Plan(RESAMPLES)


@dataclass(frozen=True, slots=True)
class Scored:
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
    plan: Plan = READ

    def evidence(self) -> Evidence:
        columns: tuple[Any, Any] = (None, None)
        if self.clusters is not None:
            columns = (self.clusters[:, 0], self.clusters[:, 1])
        labels = self.positive.astype(np.int8)
        return Evidence(self.champion, self.candidate, labels, *columns)


def overall(scored: Scored) -> Iterator[Gain]:
    """All rows, by every metric; nothing where there is no champion to compare with."""
    if scored.champion is not None:
        for metric in METRICS:
            yield _gain(ALL_ROWS, metric, scored, None)


def by_slice(scored: Scored, metric: str) -> Iterator[Gain]:
    """Every slice, by one metric; without a champion only how many rows and positives."""
    for name, mask in scored.slices.items():
        yield _gain(name, metric, scored, mask)


def _gain(name: str, metric: str, scored: Scored, mask: Bools | None) -> Gain:
    inside = scored.positive if mask is None else scored.positive[mask]
    rows, positives = len(inside), int(np.count_nonzero(inside))
    try:
        sample = scored.evidence().sample(mask)
        found = compare_sample(sample, metric, ALPHA, scored.plan)
    except NotComparable as problem:
        return Gain(name, metric, rows, positives, problem=problem.reason)
    return _shown(name, found, rows)


def _shown(name: str, found: MetricComparison, rows: int) -> Gain:
    values = (found.champion, found.candidate, found.difference, found.lower, found.upper)
    if not np.isfinite(values).all():
        return Gain(name, found.metric, rows, found.positives, problem="cannot be measured")
    return Gain(name, found.metric, rows, found.positives, Measured(*values))
