"""Champion against candidate on the same rows: the gain, its one-sided bounds, its p-value.

Beside the metrics that have their own estimator, any measure can be compared of which every row's
share of the error is known: means, and functions of means. The gain's influence is the difference
of the two models' influences, row by row, so that what both models find hard cancels out; summed
over customers and days it gives the gain's variance as for the area under the ROC curve. Nothing
is resampled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from learning.measures import Measure, measure_named
from learning.measures.measure import Measured
from scheduler.statistics.budget import cost_at_budget, recall_at_budget
from scheduler.statistics.measure import (
    Estimator,
    MeasurementPlan,
    PairedEstimate,
    Spread,
    clustered_variance,
    one_sided,
    spread_over,
)
from scheduler.statistics.ranking import auc, average_precision
from scheduler.statistics.sample import Codes, Floats, NotComparable, PairedSample, paired_sample
from shared.tasks import Margin

__all__ = ["METRICS", "MetricComparison", "NotComparable", "compare", "compare_sample", "shown"]

METRICS: Mapping[str, Estimator] = MappingProxyType(
    {
        "auc": auc,
        "average_precision": average_precision,
        "recall_at_budget": recall_at_budget,
        "cost": cost_at_budget,
    }
)


def estimator_of(metric: str) -> Estimator:
    """The way a metric is compared: as above, or by each row's contribution to its error.

    Raises:
        ValueError: an unknown metric.
    """
    if metric in METRICS:
        return METRICS[metric]
    return estimator_by_influence(measure_named(metric))


def shown(metric: str, value: float) -> float:
    """A value as people know it: a loss without its minus sign, and back."""
    return value if metric in METRICS else measure_named(metric).shown(value)


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
    alpha: float = 0.5
    spread_at: Callable[[float], Spread] | None = field(default=None, compare=False)

    def p_lost_more_than(self, tolerance: float | Margin) -> float:
        """P-value of the hypothesis that no more than `tolerance` is lost; small is harm."""
        kept, spread = self._kept(Margin.parse(tolerance))
        return one_sided(-kept, spread, 0.5)[2]

    def is_no_worse_than(self, margin: float | Margin) -> bool:
        """True if the lower bound of the remaining margin is above 0."""
        kept, spread = self._kept(Margin.parse(margin))
        return one_sided(kept, spread, self.alpha)[0] > 0.0

    def _kept(self, margin: Margin) -> tuple[float, Spread]:
        """The remaining margin, and its uncertainty.

        A relative margin moves with the champion's value, which is an estimate, too.
        """
        kept = self.difference + margin.of(self.champion)
        if not margin.is_relative or self.spread_at is None:
            return kept, self.spread
        return kept, self.spread_at(margin.champion_weight(self.champion))


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
    return compare_sample(sample, metric, alpha, MeasurementPlan(resamples=resamples, seed=seed))


def compare_sample(
    sample: PairedSample, metric: str, alpha: float, plan: MeasurementPlan
) -> MetricComparison:
    """Compare on checked rows, by any metric; costs and losses are negative: more is better.

    Raises:
        ValueError: an unknown metric or an alpha outside (0, 0.5].
    """
    if not 0.0 < alpha <= 0.5:
        raise ValueError(f"alpha must be in (0, 0.5], not {alpha}")
    estimate = estimator_of(metric)(sample, plan)
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
        alpha,
        estimate.spread_at,
    )


def estimator_by_influence(
    measure: Measure,
) -> Callable[[PairedSample, MeasurementPlan], PairedEstimate]:
    """The comparison of two models by this measure."""

    def estimate(sample: PairedSample, plan: MeasurementPlan) -> PairedEstimate:
        del plan
        if sample.task.kind not in measure.tasks:
            raise NotComparable(f"{measure.name} is not a metric of a {sample.task.kind} task")
        champion, candidate = (measure.of(arm, sample.labels) for arm in _arms(sample))

        def spread_at(weight: float) -> Spread:
            return influence_spread(_influence(candidate) - weight * _influence(champion), sample)

        return PairedEstimate(champion.value, candidate.value, spread_at(1.0), spread_at)

    return estimate


def influence_spread(influence: Floats, sample: PairedSample) -> Spread:
    """The variance of a sum of rows' influences, and what is known of that variance.

    Clusters differ: where a few hold most of the error, the effective number is smaller. The
    freedom is that of a variance estimated from totals with this kurtosis (as many as there
    are clusters when the totals are normal), and never more than the clusters allow.
    """

    def variance_of(codes: Codes) -> float:
        return clustered_variance(influence, codes)

    spread = spread_over(sample.groupings, sample.positive, variance_of)
    totals = np.bincount(sample.groupings[0], weights=influence).astype(np.float64)
    return Spread(spread.variance, min(spread.freedom, effective_freedom(totals)))


def effective_freedom(totals: Floats) -> float:
    """2 V^2 / Var(V) of V, the sum of squares; at least 1."""
    squares = np.square(totals)
    present = squares[squares > 0.0]
    if len(present) < 2:
        return 1.0
    scatter = float(np.square(present).sum() - present.sum() ** 2 / len(present))
    if scatter <= 0.0:
        return float(len(present))
    return float(max(2.0 * present.sum() ** 2 / scatter, 1.0))


def _arms(sample: PairedSample) -> tuple[Floats, Floats]:
    return sample.champion, sample.candidate


def _influence(measured: Measured) -> Floats:
    if measured.influence is None:
        raise NotComparable("the error of this metric is known by resampling only")
    return measured.influence
