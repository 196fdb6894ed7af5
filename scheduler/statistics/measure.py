"""The inputs and results shared by all metrics of a comparison."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from scheduler.statistics.sample import Bools, Codes, Floats, PairedSample, group_codes

# One-sided bounds of a difference from its variance under two-way clustering.
#
# Rows of one customer depend on each other, and so do rows of one day. Cameron, Gelbach &
# Miller (2011): variance = by customer + by day - by (customer and day). The estimate by day
# rests on few groups, so it may only widen the interval, never narrow it, and the quantile is
# Student's with Satterthwaite's degrees of freedom: as many as customers when days add
# nothing, as few as days when they are all there is.

VarianceOf = Callable[[Codes], float]
"""Group numbers a row -> variance when whole groups are drawn."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The uncertainty of a difference: its variance and degrees of freedom."""

    variance: float
    freedom: float


def spread_over(ways: Sequence[Codes], positive: Bools, variance_of: VarianceOf) -> Spread:
    """Combine the ways; the first is the finer (customers), the second the coarser (days)."""
    first, freedom = _corrected(ways[0], positive, variance_of)
    if len(ways) == 1:
        return Spread(first, freedom)
    second, few = _corrected(ways[1], positive, variance_of)
    both, _ = _corrected(crossed(ways[0], ways[1]), positive, variance_of)
    excess = max(second - both, 0.0)
    total = first + excess
    if excess == 0.0:
        return Spread(first, freedom)
    return Spread(total, total**2 / (first**2 / freedom + excess**2 / few))


def crossed(first: Codes, second: Codes) -> Codes:
    """The groups of rows that share both."""
    return group_codes(first * (int(second.max()) + 1) + second)


def clustered_variance(influence: Floats, codes: Codes) -> float:
    """Sum of squares of the groups' total influence (Obuchowski, 1997)."""
    totals = np.bincount(codes, weights=influence)
    return float(np.square(totals).sum())


def one_sided(difference: float, spread: Spread, alpha: float) -> tuple[float, float, float]:
    """Lower bound and upper bound, each wrong with probability alpha, and P(gain <= 0)."""
    error = float(np.sqrt(spread.variance))
    if error == 0.0:
        return difference, difference, 0.0 if difference > 0 else 1.0
    reach = float(special.stdtrit(spread.freedom, 1.0 - alpha)) * error
    p_value = float(special.stdtr(spread.freedom, -difference / error))
    return difference - reach, difference + reach, p_value


def _corrected(codes: Codes, positive: Bools, variance_of: VarianceOf) -> tuple[float, float]:
    """Variance with G / (G - 1) and G - 1, counting only groups that hold a positive.

    Positives are rare, so nearly all of the error comes from theirs.
    """
    holding = int(np.count_nonzero(np.bincount(codes[positive])))
    freedom = float(max(holding - 1, 1))
    return variance_of(codes) * (freedom + 1.0) / freedom, freedom


@dataclass(frozen=True, slots=True)
class MeasurementPlan:
    """Settings of a measurement: the bootstrap's size and seed, and the alert budget.

    Attributes:
        daily_alerts: how many rows a day people can review.
        cost_per_alert: the cost of one review, in the unit of the amounts.
    """

    resamples: int = 2_000
    seed: int = 0
    daily_alerts: int = 100
    cost_per_alert: float = 0.0


@dataclass(frozen=True, slots=True)
class PairedEstimate:
    """Both models' values, larger is better, and how uncertain their difference is.

    Attributes:
        spread_at: how uncertain candidate - w * champion is; None: as for w = 1.
    """

    champion: float
    candidate: float
    spread: Spread
    spread_at: Callable[[float], Spread] | None = None


Measure = Callable[[PairedSample, MeasurementPlan], PairedEstimate]
