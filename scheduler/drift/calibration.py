"""How much less a row says because rows of a day resemble each other: the design effect.

Textbook p-values take rows for independent. Transactions of one day are not, so the day
counts of the baseline itself tell how far days stray: the variance between days over the
variance that independent rows would have (Kish's design effect; for categories the mean one
of Rao & Scott, 1984). It is known only as well as the number of days allows, so its upper
confidence bound is used.

Days are not independent either: a season, or a count that only grows, moves whole weeks. How
far whole weeks of the baseline lie from all of it is what such a column does on its own, so a
current window has to lie further away than the furthest of them.
"""

import numpy as np
from scipy import special

from scheduler.drift.bins import Counts
from scheduler.drift.distance import cohens_w, ks_gap

_CONFIDENCE = 0.75
BLOCK_DAYS = 7
_FEWEST_BLOCKS = 3
_SELDOM = 0.01


def design_effect(by_day: Counts, ordered: bool) -> float:
    """At least 1; counts are (days, bins), and order of the bins matters for numbers."""
    rows = by_day.sum(axis=1)
    days, total = len(rows), int(rows.sum())
    if days < 2 or total == 0:
        return 1.0
    shares = by_day.sum(axis=0) / total
    strayed = by_day - rows[:, None] * shares
    if ordered:
        shares, strayed = np.cumsum(shares)[:-1], np.cumsum(strayed, axis=1)[:, :-1]
        independent = float((total * shares * (1.0 - shares)).sum())
        between = float(np.square(strayed).sum())
    else:
        filled = shares > 0.0
        independent = float(total * (np.count_nonzero(filled) - 1))
        between = float((np.square(strayed[:, filled]) / shares[filled]).sum())
    if independent <= 0.0:
        return 1.0
    return max(1.0, between / independent * _upper(days))


def usual_effect(by_day: Counts, ordered: bool, design: float) -> float:
    """The largest effect between a week of the baseline and all of it, beyond mere chance."""
    blocks = len(by_day) // BLOCK_DAYS
    if blocks < _FEWEST_BLOCKS:
        return 0.0
    # the newest days are whole blocks, the few oldest that are left over stand aside
    of_blocks = by_day[len(by_day) - blocks * BLOCK_DAYS :].reshape(blocks, BLOCK_DAYS, -1)
    total = by_day.sum(axis=0)
    return max(_beyond_chance(total, block, ordered, design) for block in of_blocks.sum(axis=1))


def _beyond_chance(total: Counts, block: Counts, ordered: bool, design: float) -> float:
    """Effects add up in squares: what so few rows would show anyway is taken away."""
    rows = int(block.sum())
    if not rows:
        return 0.0
    effect = ks_gap(total, block) if ordered else cohens_w(total, block)
    chance = special.kolmogi(_SELDOM) ** 2 if ordered else _chance_of_w(total)
    return float(np.sqrt(max(effect**2 - chance * design / rows, 0.0)))


def _chance_of_w(total: Counts) -> float:
    return float(special.chdtri(max(np.count_nonzero(total) - 1, 1), _SELDOM))


def for_window(effect: float, baseline_rows_a_day: float, rows_a_day: float) -> float:
    """The design effect of a window whose days hold more, or fewer, rows than the baseline's.

    What days have in common weighs more the more rows a day has; what neighbouring rows have
    in common does not depend on it. Both are possible, so the larger is taken.
    """
    if baseline_rows_a_day <= 0.0:
        return effect
    return max(effect, 1.0 + (effect - 1.0) * rows_a_day / baseline_rows_a_day)


def _upper(days: int) -> float:
    """From a sum of squares over days to the upper confidence bound of the variance."""
    return days / float(special.chdtri(days - 1, _CONFIDENCE))
