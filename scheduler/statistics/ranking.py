"""Metrics of the whole ranking: area under the ROC curve and average precision, of two models.

The area is a mean over pairs (positive, negative), so its error is, to first order, a sum of
one term a row: the row's placement among the other class (DeLong, DeLong & Clarke-Pearson,
1988). Placements come from sorting the positives only and searching them (Sun & Xu, 2014,
rank both classes); with rare positives that is the cheaper half. Ties count one half.

Average precision has no such closed form: groups of rows are drawn again and again.
"""

import numpy as np
from scipy import sparse

from scheduler.statistics.measure import (
    MeasurementPlan,
    PairedEstimate,
    Spread,
    bootstrap_variance,
    clustered_variance,
    spread_over,
)
from scheduler.statistics.sample import Bools, Codes, Floats, PairedSample


def auc_with_influence(scores: Floats, positive: Bools) -> tuple[float, Floats]:
    """The area, and every row's share of its error.

    Returns:
        The area, and terms that sum to 0 whose sum of squares is DeLong's variance (with
        the unbiased m - 1 and n - 1 of the paper folded in).
    """
    highs, lows = np.sort(scores[positive]), scores[~positive]
    below = np.searchsorted(highs, lows, side="left")
    m, n = len(highs), len(lows)
    not_above = below.copy()
    tied = highs[np.minimum(below, m - 1)] == lows
    not_above[tied] = np.searchsorted(highs, lows[tied], side="right")
    of_lows = 1.0 - (below + not_above) / (2.0 * m)
    sorted_of_highs = _placements(below, not_above, m, n)
    rank = np.searchsorted(highs, scores[positive], side="left")
    of_highs = sorted_of_highs[rank]
    area = float(of_highs.mean())
    influence = np.empty(len(scores))
    influence[positive] = (of_highs - area) / _spread(m)
    influence[~positive] = (of_lows - area) / _spread(n)
    return area, influence


def _placements(below: Codes, not_above: Codes, m: int, n: int) -> Floats:
    """The share of negatives under each positive, in order; ties count one half.

    A negative with `not_above` positives at or under it lies strictly under the rest.
    """
    strictly = np.cumsum(np.bincount(not_above, minlength=m + 1))[:m]
    at_most = np.cumsum(np.bincount(below, minlength=m + 1))[:m]
    return np.asarray((strictly + at_most) / (2.0 * n), dtype=np.float64)


def _spread(count: int) -> float:
    """sqrt(k (k - 1)): squares divided by it sum to the unbiased variance of a mean of k."""
    return float(np.sqrt(count * max(count - 1, 1)))


# Average precision under many row weights (resamples) with a single sort.
#
# Only distinct scores of positives are thresholds that count. Each row is therefore put into
# the slot of the highest such threshold that it reaches; a resample needs the weight in each
# slot and a running sum over slots, never a new sort. Agrees with scikit-learn, ties included.


class PrecisionSlots:
    """Rows of one model, sorted into threshold slots and added up by group."""

    def __init__(self, scores: Floats, positive: Bools, codes: Codes) -> None:
        thresholds = -np.unique(-scores[positive])
        slot = np.searchsorted(-thresholds, -scores, side="left")
        self._size = (len(thresholds), int(codes.max()) + 1)
        reached = slot < len(thresholds)
        self._highs = self._table(slot[positive], codes[positive])
        lows = reached & ~positive
        self._lows = self._table(slot[lows], codes[lows])

    def average_precision(self, weights: Floats) -> Floats:
        """One value for each column of `weights`, shape (groups, resamples)."""
        highs = self._highs @ weights
        lows = self._lows @ weights
        found = np.cumsum(highs, axis=0)
        flagged = found + np.cumsum(lows, axis=0)
        precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
        total = found[-1]
        sums = np.einsum("ij,ij->j", precision, highs)
        return np.asarray(np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0))

    def _table(self, slots: Codes, codes: Codes) -> sparse.csr_array:
        ones = np.ones(len(slots))
        return sparse.coo_array((ones, (slots, codes)), shape=self._size).tocsr()


def auc(sample: PairedSample, plan: MeasurementPlan) -> PairedEstimate:
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


def average_precision(sample: PairedSample, plan: MeasurementPlan) -> PairedEstimate:
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
