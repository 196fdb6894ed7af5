"""Any measure of which every row's share of the error is known: means, and functions of means.

The gain's influence is the difference of the two models' influences, row by row, so that what
both models find hard cancels out; summed over customers and days it gives the gain's variance
as for the area under the ROC curve. Nothing is resampled.
"""

from collections.abc import Callable

import numpy as np

from learning.measures import Measure
from learning.measures.measure import Measured
from scheduler.statistics.measure import (
    MeasurementPlan,
    PairedEstimate,
    Spread,
    clustered_variance,
    spread_over,
)
from scheduler.statistics.sample import Codes, Floats, NotComparable, PairedSample


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
