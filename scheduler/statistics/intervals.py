"""From a difference and its error, per way of depending, to one-sided bounds.

Rows of one customer depend on each other, and so do rows of one day. Cameron, Gelbach &
Miller (2011): variance = by customer + by day - by (customer and day). The estimate by day
rests on few groups, so it may only widen the interval, never narrow it, and the quantile is
Student's with Satterthwaite's degrees of freedom: as many as customers when days add
nothing, as few as days when they are all there is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from scheduler.statistics.sample import Codes, Floats, group_codes

VarianceOf = Callable[[Codes], tuple[float, int]]
"""Group numbers a row -> (variance by these groups, number of groups)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How uncertain a difference is: its variance and the degrees of freedom behind it."""

    variance: float
    freedom: float


def two_way(ways: Sequence[Codes], variance_of: VarianceOf) -> Spread:
    """Combine the ways; the first is the finer (customers), the second the coarser (days)."""
    first, groups = variance_of(ways[0])
    freedom = float(max(groups - 1, 1))
    if len(ways) == 1:
        return Spread(first, freedom)
    second, few = variance_of(ways[1])
    both, _ = variance_of(crossed(ways[0], ways[1]))
    excess = max(second - both, 0.0)
    total = first + excess
    if excess == 0.0:
        return Spread(first, freedom)
    parts = first**2 / freedom + excess**2 / max(few - 1, 1)
    return Spread(total, total**2 / parts)


def crossed(first: Codes, second: Codes) -> Codes:
    return group_codes(first * (int(second.max()) + 1) + second)


def clustered_variance(influence: Floats, codes: Codes) -> tuple[float, int]:
    """Sum of squares of the groups' total influence (Obuchowski, 1997), with G / (G - 1)."""
    totals = np.bincount(codes, weights=influence)
    groups = int(np.count_nonzero(np.bincount(codes)))
    correction = groups / (groups - 1) if groups > 1 else 1.0
    return float(totals @ totals) * correction, groups


def one_sided(difference: float, spread: Spread, alpha: float) -> tuple[float, float, float]:
    """Lower bound and upper bound, each wrong with probability alpha, and P(gain <= 0)."""
    error = float(np.sqrt(spread.variance))
    if error == 0.0:
        return difference, difference, 0.0 if difference > 0 else 1.0
    reach = float(special.stdtrit(spread.freedom, 1.0 - alpha)) * error
    p_value = float(special.stdtr(spread.freedom, -difference / error))
    return difference - reach, difference + reach, p_value
