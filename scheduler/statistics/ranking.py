"""Metrics of the whole ranking: area under the ROC curve and average precision."""

import numpy as np

from scheduler.statistics.average_precision import PrecisionSlots
from scheduler.statistics.bootstrap import bootstrap_variance
from scheduler.statistics.delong import auc_with_influence
from scheduler.statistics.intervals import Spread, clustered_variance, spread_over
from scheduler.statistics.measure import PairedEstimate, Plan
from scheduler.statistics.sample import Codes, Floats, PairedSample


def auc(sample: PairedSample, plan: Plan) -> PairedEstimate:
    """DeLong needs no resampling: the term of every row is known in closed form."""
    del plan
    champion, before = auc_with_influence(sample.champion, sample.positive)
    candidate, after = auc_with_influence(sample.candidate, sample.positive)
    influence = after - before
    if not sample.ways:
        freedom = float(max(min(sample.positives, sample.negatives) - 1, 1))
        return PairedEstimate(
            champion, candidate, Spread(float(np.square(influence).sum()), freedom)
        )

    def variance_of(codes: Codes) -> float:
        return clustered_variance(influence, codes)

    return PairedEstimate(
        champion, candidate, spread_over(sample.ways, sample.positive, variance_of)
    )


def average_precision(sample: PairedSample, plan: Plan) -> PairedEstimate:
    """Bootstrap of groups; the scores are sorted once for each way of grouping."""
    rng = np.random.default_rng(plan.seed)
    arms = (sample.champion, sample.candidate)

    def variance_of(codes: Codes) -> float:
        before, after = (PrecisionSlots(scores, sample.positive, codes) for scores in arms)

        def gain(weights: Floats) -> Floats:
            return after.average_precision(weights) - before.average_precision(weights)

        return bootstrap_variance(gain, codes, sample.positive, plan.resamples, rng)

    spread = spread_over(sample.groupings, sample.positive, variance_of)
    together, once = np.zeros(len(sample.positive), dtype=np.int64), np.ones((1, 1))
    points = [
        PrecisionSlots(scores, sample.positive, together).average_precision(once) for scores in arms
    ]
    return PairedEstimate(float(points[0][0]), float(points[1][0]), spread)
