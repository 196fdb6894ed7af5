"""The distance between two distributions given as counts, its p-value, and how usual it is.

Kolmogorov-Smirnov for numbers, on the baseline's quantile bins; chi-square for categories,
never the other way round: KS is meaningless on unordered or two-valued columns.

Textbook p-values assume independent rows. Rows of one day are correlated, so the design effect is
estimated from the baseline's counts by day: the variance between days over the variance that
independent rows would have (Kish's design effect; for categories the mean one of Rao & Scott,
1984). It is known only as well as the number of days allows, so its upper confidence bound is used.

Days are not independent either: a season, or a rate over thirty days, moves whole weeks, and weeks
are examined in the same way. The distance between two weeks of the baseline is normal for such a
column, so a current window has to be further away than that.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special

from scheduler.drift.bins import RAREST_CATEGORY, Counts

FEWEST = 5
"""Cochran's rule: with fewer rows than that, seen or expected, a cell of chi-square lies."""
BLOCK_DAYS = 7


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


_UPPER, _LOWER = 0.75, 0.05
_FEWEST_BLOCKS = 3
_SELDOM = 0.001
_APART = 0.9


def design_effect(by_day: Counts, ordered: bool) -> float:
    """The design effect, at least 1; counts are (days, bins), in the order of a number's bins.

    Where neighbouring days are correlated, weeks vary more than their days predict. There are few
    weeks, so the lower confidence bound of that excess is used.
    """
    weeks = _weeks(by_day)
    if len(weeks) < _FEWEST_BLOCKS:
        return _of_days(by_day, ordered)
    of_weeks = _between(weeks, ordered) * _bound(len(weeks), _LOWER)
    return max(_of_days(by_day, ordered), of_weeks)


def _of_days(by_day: Counts, ordered: bool) -> float:
    return max(1.0, _between(by_day, ordered) * _bound(len(by_day), _UPPER))


def _between(by_part: Counts, ordered: bool) -> float:
    """Variance between the parts of the baseline over that of independent rows."""
    rows = by_part.sum(axis=1)
    total = int(rows.sum())
    if len(rows) < 2 or total == 0:
        return 0.0
    shares = by_part.sum(axis=0) / total
    strayed = by_part - rows[:, None] * shares
    if ordered:
        shares, strayed = np.cumsum(shares)[:-1], np.cumsum(strayed, axis=1)[:, :-1]
        independent = float((total * shares * (1.0 - shares)).sum())
        between = float(np.square(strayed).sum())
    else:
        filled = shares > 0.0
        independent = float(total * (np.count_nonzero(filled) - 1))
        between = float((np.square(strayed[:, filled]) / shares[filled]).sum())
    return between / independent if independent > 0.0 else 0.0


def _weeks(by_day: Counts) -> Counts:
    """The newest days in blocks; the remaining oldest days are not used."""
    blocks = len(by_day) // BLOCK_DAYS
    newest = by_day[len(by_day) - blocks * BLOCK_DAYS :]
    return np.asarray(newest.reshape(blocks, BLOCK_DAYS, by_day.shape[1]).sum(axis=1))


def usual_effect(by_day: Counts, ordered: bool) -> float:
    """The largest effect between two weeks of the baseline, beyond mere chance."""
    weeks, design = _weeks(by_day), _of_days(by_day, ordered)
    if len(weeks) < _FEWEST_BLOCKS:
        return 0.0
    pairs = combinations(weeks, 2)
    return max(_beyond_chance(before, after, ordered, design) for before, after in pairs)


def _beyond_chance(before: Counts, after: Counts, ordered: bool, design: float) -> float:
    """Effects add up in squares: what so few rows would show anyway is taken away."""
    first, second = int(before.sum()), int(after.sum())
    if not first or not second:
        return 0.0
    effect = ks_gap(before, after) if ordered else cohens_w(before, after)
    if effect >= _APART:
        # almost no common values: never chance, whatever the number of rows
        return effect
    chance = special.kolmogi(_SELDOM) ** 2 if ordered else _chance_of_w(before + after)
    return float(np.sqrt(max(effect**2 - chance * design * (1 / first + 1 / second), 0.0)))


def _chance_of_w(total: Counts) -> float:
    return float(special.chdtri(max(np.count_nonzero(total) - 1, 1), _SELDOM))


def for_window(effect: float, baseline_rows_a_day: float, rows_a_day: float) -> float:
    """The design effect of a window whose days hold more, or fewer, rows than the baseline's.

    Correlation within a day grows with its rows; correlation between neighbouring rows does not.
    Either may hold, so the larger effect is taken.
    """
    if baseline_rows_a_day <= 0.0:
        return effect
    return max(effect, 1.0 + (effect - 1.0) * rows_a_day / baseline_rows_a_day)


def _bound(parts: int, share_above: float) -> float:
    """A confidence bound of the variance between this many parts."""
    return parts / float(special.chdtri(parts - 1, share_above)) if parts > 1 else 0.0
