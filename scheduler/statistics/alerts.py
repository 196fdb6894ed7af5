"""What a fixed number of alerts a day catches, under many row weights at once.

Each day the highest scores share the day's alerts. A row that weighs two takes two alerts;
the row on the edge takes what is left. Ties are put in one random order for both models.
Only the head of each day is looked at: with mean weight 1, twice the budget and a few
standard deviations more is enough rows for every resample.
"""

import numpy as np

from scheduler.statistics.sample import Codes, Floats


class DailyAlerts:
    """One model's alerts: rows in order of score within each day, the head of it."""

    def __init__(self, scores: Floats, days: Codes, per_day: int, values: Floats) -> None:
        tie_order = np.random.default_rng(0).permutation(len(scores))
        order = np.lexsort((tie_order, -scores, days))
        starts = np.flatnonzero(np.diff(days[order], prepend=-1))
        sizes = np.diff(starts, append=len(order))
        width = int(min(sizes.max(), 2 * per_day + 50))
        place = np.arange(width)
        self._inside = place < sizes[:, None]
        self._rows = order[np.where(self._inside, starts[:, None] + place, 0)]
        self._values = np.where(self._inside, values[self._rows], 0.0)
        self._per_day = float(per_day)
        self._day = days[order][starts]

    def caught(self, weights: Floats, codes: Codes) -> Floats:
        """Total value alerted on, for each column of `weights` (groups, resamples).

        Groups are drawn inside the day: more rows compete for the same alerts.
        """
        total = np.zeros(weights.shape[1])
        for inside, rows, values in zip(self._inside, self._rows, self._values, strict=True):
            drawn = weights[codes[rows]] * inside[:, None]
            before = np.cumsum(drawn, axis=0) - drawn
            total += values @ np.clip(self._per_day - before, 0.0, drawn)
        return total

    def caught_a_day(self, groups: int) -> Floats:
        """Value alerted on by day: a day that is drawn twice brings its alerts along."""
        full = np.arange(self._rows.shape[1]) < self._per_day
        result = np.zeros(groups)
        result[self._day] = (self._values * full).sum(axis=1)
        return result
