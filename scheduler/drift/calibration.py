"""How much less a row says because rows of a day resemble each other: the design effect.

Textbook p-values take rows for independent. Transactions of one day are not, so the day
counts of the baseline itself tell how far days stray: the variance between days over the
variance that independent rows would have (Kish's design effect; for categories the mean one
of Rao & Scott, 1984). It is known only as well as the number of days allows, so its upper
confidence bound is used.
"""

import numpy as np
from scipy import special

from scheduler.drift.bins import Counts

_CONFIDENCE = 0.75


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
