"""Metrics of a fixed alert budget: recall among the day's top alerts, and cost in money."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scheduler.statistics.measure import (
    MeasurementPlan,
    PairedEstimate,
    bootstrap_variance,
    spread_over,
)
from scheduler.statistics.sample import Codes, Floats, PairedSample

# The positives that a fixed number of alerts a day finds, for many row weights at once.
#
# Each day the highest scores share the day's alerts. A row that weighs two takes two alerts;
# the row at the limit takes the remainder. Ties are put in one random order for both models.
# Only the top of each day is examined: with mean weight 1, twice the budget and a few
# standard deviations more is enough rows for every resample.


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


@dataclass(frozen=True, slots=True)
class _Stakes:
    """A row's amount, what an alert on it saves, and how the sums become a value."""

    at_stake: Floats
    saved: Floats
    value: Callable[[Floats, Floats], Floats]


def recall_at_budget(sample: PairedSample, plan: MeasurementPlan) -> PairedEstimate:
    """Share of positives that the `daily_alerts` highest scores of each day catch."""
    found = sample.positive.astype(np.float64)
    return _estimate(sample, plan, _Stakes(found, found, _share))


def cost_at_budget(sample: PairedSample, plan: MeasurementPlan) -> PairedEstimate:
    """Money a day, negative because a cost: amounts of missed positives and of alerts.

    An alert on any row costs `cost_per_alert`; one on a positive saves its amount.
    """
    amounts = np.ones(len(sample.positive)) if sample.amounts is None else sample.amounts
    lost = np.where(sample.positive, amounts, 0.0)
    days = len(np.unique(_days(sample)))

    def money(caught: Floats, at_stake: Floats) -> Floats:
        return (caught - at_stake) / days

    return _estimate(sample, plan, _Stakes(lost, lost - plan.cost_per_alert, money))


def _share(caught: Floats, at_stake: Floats) -> Floats:
    return np.divide(caught, at_stake, out=np.zeros_like(caught), where=at_stake > 0)


def _estimate(sample: PairedSample, plan: MeasurementPlan, stakes: _Stakes) -> PairedEstimate:
    days = _days(sample)
    arms = [
        DailyAlerts(scores, days, plan.daily_alerts, stakes.saved)
        for scores in (sample.champion, sample.candidate)
    ]
    rng = np.random.default_rng(plan.seed)

    def variance_of(codes: Codes) -> float:
        at_stake = np.bincount(codes, weights=stakes.at_stake)
        whole_days = np.array_equal(codes, days)
        daily = [arm.caught_a_day(len(at_stake)) for arm in arms] if whole_days else []

        def gain(weights: Floats) -> Floats:
            if whole_days:
                before, after = (caught @ weights for caught in daily)
            else:
                before, after = (arm.caught(weights, codes) for arm in arms)
            total = at_stake @ weights
            return stakes.value(after, total) - stakes.value(before, total)

        return bootstrap_variance(gain, codes, sample.positive, plan.resamples, rng)

    spread = spread_over(sample.groupings, sample.positive, variance_of)
    total = stakes.at_stake.sum(keepdims=True)
    caught = [arm.caught_a_day(int(days.max()) + 1).sum(keepdims=True) for arm in arms]
    champion, candidate = (float(stakes.value(sums, total)[0]) for sums in caught)
    return PairedEstimate(champion, candidate, spread)


def _days(sample: PairedSample) -> Codes:
    return np.zeros(len(sample.positive), dtype=np.int64) if sample.days is None else sample.days
