"""Two distributions as counts: how far apart, and how likely by chance.

Kolmogorov-Smirnov for numbers, on the baseline's quantile bins; chi-square for categories,
never the other way round: KS is meaningless on unordered or two-valued columns.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scheduler.drift.bins import Counts

_FEW = 0.5


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
    gaps = np.cumsum(baseline) / first - np.cumsum(current) / second
    gap = float(np.abs(gaps).max())
    size = first * second / (first + second) / design
    return Distance(gap, gap, float(special.kolmogorov(np.sqrt(size) * gap)))


def chi_square(baseline: Counts, current: Counts, design: float) -> Distance:
    """Two-sample chi-square over the categories that either side has, over `design`."""
    used = (baseline + current) > 0
    table = np.stack([baseline[used], current[used]]).astype(np.float64)
    if table.shape[1] < 2:
        return Distance(0.0, 0.0, 1.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float((np.square(table - expected) / expected).sum()) / design
    p_value = float(special.chdtrc(table.shape[1] - 1, statistic))
    return Distance(statistic, _cohens_w(table[0], table[1]), p_value)


def _cohens_w(baseline: npt.NDArray[np.float64], current: npt.NDArray[np.float64]) -> float:
    """Root mean square of the relative change; half a row where the baseline has none."""
    before = np.maximum(baseline, _FEW) / baseline.sum()
    after = current / current.sum()
    return float(np.sqrt((np.square(after - before) / before).sum()))
