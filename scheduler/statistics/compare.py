"""Champion against candidate on the same rows: the gain, its one-sided bounds, its p-value."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from scheduler.statistics.budget import cost_at_budget, recall_at_budget
from scheduler.statistics.intervals import Spread, one_sided
from scheduler.statistics.measure import Measure, Plan
from scheduler.statistics.ranking import auc, average_precision
from scheduler.statistics.sample import NotComparable, PairedSample, paired_sample

__all__ = ["METRICS", "MetricComparison", "NotComparable", "compare", "compare_sample"]

METRICS: Mapping[str, Measure] = MappingProxyType(
    {
        "auc": auc,
        "average_precision": average_precision,
        "recall_at_budget": recall_at_budget,
        "cost": cost_at_budget,
    }
)


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A paired comparison on one metric.

    Attributes:
        difference: the gain of the candidate; above 0 means better.
        lower: the gain is below this with probability alpha at most (one-sided).
        upper: the gain is above this with probability alpha at most (one-sided).
        p_value: one-sided, of the hypothesis that the candidate gains nothing.
    """

    metric: str
    champion: float
    candidate: float
    difference: float
    lower: float
    upper: float
    p_value: float
    positives: int
    negatives: int
    spread: Spread

    def p_lost_more_than(self, tolerance: float) -> float:
        """P-value of the hypothesis that no more than `tolerance` is lost; small is harm."""
        return one_sided(-(self.difference + tolerance), self.spread, 0.5)[2]


def compare(
    champion_scores: npt.ArrayLike,
    candidate_scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    metric: str,
    clusters: npt.NDArray[Any] | None,
    resamples: int,
    alpha: float,
    seed: int,
) -> MetricComparison:
    """Compare two models on the same matured rows.

    `metric` is `auc` (DeLong, cluster-robust) or `average_precision` (bootstrap of groups);
    `clusters` is (n,) customers, (n, 2) customers and days, or None: rows are independent;
    `alpha` is the one-sided error of each bound.

    Raises:
        NotComparable: empty, NaN, infinite, one class only, or lengths that differ.
        ValueError: an unknown metric or an alpha outside (0, 0.5].
    """
    sample = paired_sample(champion_scores, candidate_scores, labels, clusters)
    return compare_sample(sample, metric, alpha, Plan(resamples=resamples, seed=seed))


def compare_sample(sample: PairedSample, metric: str, alpha: float, plan: Plan) -> MetricComparison:
    """Compare on checked rows, by any of `METRICS`; a cost is negative, so more is better.

    Raises:
        ValueError: an unknown metric or an alpha outside (0, 0.5].
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    if not 0.0 < alpha <= 0.5:
        raise ValueError(f"alpha must be in (0, 0.5], not {alpha}")
    estimate = METRICS[metric](sample, plan)
    gain = estimate.candidate - estimate.champion
    lower, upper, p_value = one_sided(gain, estimate.spread, alpha)
    return MetricComparison(
        metric,
        estimate.champion,
        estimate.candidate,
        gain,
        lower,
        upper,
        p_value,
        sample.positives,
        sample.negatives,
        estimate.spread,
    )
