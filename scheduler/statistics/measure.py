"""The inputs and results shared by all metrics of a comparison, and the error of a difference.

A metric whose error has no closed form is resampled: a bootstrap of groups of rows, as weights
(a group drawn twice weighs two). Groups with a positive and groups without are drawn separately,
so that no resample runs out of positives by accident. With every row its own group this is the row
bootstrap stratified by label.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from scheduler.statistics.sample import Bools, Codes, Floats, PairedSample, group_codes


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
class Spread:
    """The uncertainty of a difference: its variance and degrees of freedom."""

    variance: float
    freedom: float


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


Estimator = Callable[[PairedSample, MeasurementPlan], PairedEstimate]

# One-sided bounds of a difference from its variance under two-way clustering.
#
# Rows of one customer depend on each other, and so do rows of one day. Cameron, Gelbach &
# Miller (2011): variance = by customer + by day - by (customer and day). The estimate by day
# rests on few groups, so it may only widen the interval, never narrow it, and the quantile is
# Student's with Satterthwaite's degrees of freedom: as many as customers when days add
# nothing, as few as days when they are all there is.

VarianceOf = Callable[[Codes], float]
"""Group numbers a row -> variance when whole groups are drawn."""


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


def _corrected(codes: Codes, positive: Bools, variance_of: VarianceOf) -> tuple[float, float]:
    """Variance with G / (G - 1) and G - 1, counting only groups that hold a positive.

    Positives are rare, so nearly all of the error comes from theirs.
    """
    holding = int(np.count_nonzero(np.bincount(codes[positive])))
    freedom = float(max(holding - 1, 1))
    return variance_of(codes) * (freedom + 1.0) / freedom, freedom


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


_CHUNK_CELLS = 4_000_000

Statistic = Callable[[Floats], Floats]
"""Weights (groups, resamples) -> the difference for each resample."""


def group_weights(
    codes: Codes, positive: Bools, resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Weights in chunks of shape (groups, some resamples), so that memory stays bounded."""
    size = int(codes.max()) + 1
    holds = np.zeros(size, dtype=np.bool_)
    holds[codes[positive]] = True
    present = np.bincount(codes, minlength=size) > 0
    strata = [np.flatnonzero(holds), np.flatnonzero(present & ~holds)]
    step = max(1, _CHUNK_CELLS // max(size, 1_000))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        weights = np.zeros((size, count))
        for members in strata:
            weights[members] = _draw(len(members), count, rng)
        yield weights


def bootstrap_variance(
    statistic: Statistic, codes: Codes, positive: Bools, resamples: int, rng: np.random.Generator
) -> float:
    """Variance of the statistic over resamples of these groups."""
    chunks = [statistic(weights) for weights in group_weights(codes, positive, resamples, rng)]
    return float(np.var(np.concatenate(chunks), ddof=1))


def _draw(groups: int, resamples: int, rng: np.random.Generator) -> Floats:
    """The number of draws of each group in each resample, shape (groups, resamples)."""
    if groups == 0:
        return np.zeros((0, resamples))
    drawn = rng.integers(groups, size=(groups, resamples), dtype=np.int64)
    flat = drawn * resamples + np.arange(resamples)
    counts = np.bincount(flat.reshape(-1), minlength=groups * resamples)
    return counts.reshape(groups, resamples).astype(np.float64)
