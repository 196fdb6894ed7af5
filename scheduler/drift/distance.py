"""The distance between two distributions given as counts, and its p-value.

Kolmogorov-Smirnov for numbers, on the baseline's quantile bins; chi-square for categories,
never the other way round: KS is meaningless on unordered or two-valued columns.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scheduler.drift.bins import RAREST_CATEGORY, Counts

FEWEST = 5
"""Cochran's rule: with fewer rows than that, seen or expected, a cell of chi-square lies."""


@dataclass(frozen=True, slots=True)
class Distance:
    """A test's statistic, its effect size and its p-value.

    Attributes:
        effect: KS distance for numbers, Cohen's w for categories.
    """

    statistic: float
    effect: float
    p_value: float


def kolmogorov_smirnov(baseline: Counts, current: Counts, design: float) -> Distance:
    """Largest gap of the two cumulated shares, with a sample size worth `1 / design`."""
    first, second = int(baseline.sum()), int(current.sum())
    gap = ks_gap(baseline, current)
    size = first * second / (first + second) / design
    return Distance(gap, gap, float(special.kolmogorov(np.sqrt(size) * gap)))


def ks_gap(baseline: Counts, current: Counts) -> float:
    """The effect size of numbers."""
    gaps = np.cumsum(baseline) / baseline.sum() - np.cumsum(current) / current.sum()
    return float(np.abs(gaps).max())


def chi_square(baseline: Counts, current: Counts, design: float) -> Distance:
    """Two-sample chi-square over the categories that hold enough rows, over `design`."""
    table = _pooled(baseline, current)
    if table.shape[1] < 2:
        return Distance(0.0, 0.0, 1.0)
    expected = _expected(table)
    statistic = float((np.square(table - expected) / expected).sum()) / design
    p_value = float(special.chdtrc(table.shape[1] - 1, statistic))
    return Distance(statistic, _effect(table), p_value)


def cohens_w(baseline: Counts, current: Counts) -> float:
    """The effect size of categories: root mean square of the relative change.

    A category the baseline never saw counts as if it had been as rare as is still counted.
    """
    table = _pooled(baseline, current)
    return _effect(table) if table.shape[1] > 1 else 0.0


def _effect(table: npt.NDArray[np.float64]) -> float:
    before, after = table / table.sum(axis=1, keepdims=True)
    before = np.maximum(before, RAREST_CATEGORY)
    return float(np.sqrt((np.square(after - before) / before).sum()))


def _pooled(baseline: Counts, current: Counts) -> npt.NDArray[np.float64]:
    """Both sides, with the cells that hold too few rows put together into one."""
    table = np.stack([baseline, current]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    rare = np.maximum(_expected(table)[1], table[1]) < FEWEST
    if not rare.any():
        return table
    kept, rest = table[:, ~rare], table[:, rare].sum(axis=1)
    if kept.shape[1] and max(rest[1], rest.sum() * table[1].sum() / table.sum()) < FEWEST:
        kept[:, int(np.argmax(kept[0]))] += rest
        return kept
    return np.column_stack([kept, rest])


def _expected(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum())
