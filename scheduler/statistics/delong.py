"""DeLong: the area under the ROC curve and what every row adds to its error.

The area is a mean over pairs (positive, negative), so its error is, to first order, a sum of
one term a row: the row's placement among the other class (DeLong, DeLong & Clarke-Pearson,
1988). Placements come from sorting the positives only and searching them (Sun & Xu, 2014,
rank both classes); with rare positives that is the cheaper half. Ties count one half.
"""

import numpy as np

from scheduler.statistics.sample import Bools, Codes, Floats


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
