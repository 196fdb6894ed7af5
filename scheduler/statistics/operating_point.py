"""The operating point: the value of a model's alerts at the thresholds it would be served with.

Ranking metrics ignore thresholds: two models with the same ranking may cause very different numbers
of alerts. Each figure is a total or a ratio of totals, so its error is, to first order, a sum of
one term a row (the delta method), added up by customer and by day like DeLong's terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scheduler.statistics.compare import MetricComparison
from scheduler.statistics.measure import MeasurementPlan, Spread, one_sided, spread_over
from scheduler.statistics.sample import Bools, Codes, Floats, PairedSample

VOLUME, PRECISION, RECALL, MONEY = "alert_volume", "alert_precision", "alert_recall", "alert_money"
FIGURES = (PRECISION, RECALL, VOLUME, MONEY)
MIN_ALERTS = 20
"""The precision of fewer alerts than this is an anecdote."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """One figure of one model; `terms` are what each row adds to its error."""

    value: float
    terms: Floats


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One model's alerts on the held-out rows, by figure.

    Attributes:
        figures: alerts a day, precision, recall, and money a day: `saved` less what people cost.
        saved: amounts a day of the positives that were alerted on.
        missed: amounts a day of the other positives.
        work: what a day's alerts cost.
        alerted: the rows alerted on.
    """

    figures: Mapping[str, Estimated]
    saved: float
    missed: float
    work: float
    alerted: Bools

    @property
    def alerts(self) -> int:
        """The number of alerts, all days together."""
        return int(np.count_nonzero(self.alerted))


def operating_point(sample: PairedSample, alerted: Bools, plan: MeasurementPlan) -> OperatingPoint:
    """The figures of a model that alerts on these rows of the sample."""
    amounts = np.ones(len(alerted)) if sample.amounts is None else sample.amounts
    days = 1 if sample.days is None else len(np.unique(sample.days))
    positive, alerts = sample.positive, alerted.astype(np.float64)
    at_stake = np.where(positive, amounts, 0.0) / days
    worth = (at_stake - plan.cost_per_alert / days) * alerts
    figures = {
        PRECISION: _share(positive, alerted),
        RECALL: _share(alerted, positive),
        VOLUME: Estimated(float(alerts.sum()) / days, alerts / days),
        MONEY: Estimated(float(worth.sum()), worth),
    }
    return OperatingPoint(
        figures,
        saved=float(at_stake[alerted].sum()),
        missed=float(at_stake[~alerted].sum()),
        work=plan.cost_per_alert * float(alerts.sum()) / days,
        alerted=alerted,
    )


def own_interval(
    sample: PairedSample, point: OperatingPoint, metric: str, alpha: float
) -> tuple[float, float]:
    """The 95 % interval of one model's figure."""
    figure = point.figures[metric]
    spread = _spread(sample, figure.terms, point.alerted)
    lower, upper, _ = one_sided(figure.value, spread, alpha)
    return lower, upper


@dataclass(frozen=True, slots=True)
class OperatingPair:
    """Both models' operating points on the same rows."""

    sample: PairedSample
    champion: OperatingPoint
    candidate: OperatingPoint

    def change(self, metric: str, alpha: float) -> MetricComparison:
        """Candidate less champion by one figure, as it is: more alerts are a larger figure."""
        return self._compared(metric, 1.0, alpha)

    def harm(self, metric: str, tolerance: float, alpha: float) -> "Harm":
        """True if more than the tolerance was lost of a figure.

        The tolerated loss of a share is a difference of shares; of the number of alerts and of the
        money it is a share of the champion's figure. That figure is estimated too, so the error is
        that of the contrast (1 + tolerance) x champion - candidate.
        """
        before, after = self.champion.figures[metric], self.candidate.figures[metric]
        sign = -1.0 if metric == VOLUME else 1.0
        gain = self._compared(metric, sign, alpha)
        if metric in (PRECISION, RECALL):
            return Harm(gain, tolerance, gain.p_lost_more_than(tolerance))
        share = tolerance if before.value > 0.0 else 0.0
        allowed = share * before.value
        terms = sign * (after.terms - before.terms) + share * before.terms
        p_harm = one_sided(-(gain.difference + allowed), self._spread(terms), 0.5)[2]
        return Harm(gain, allowed, p_harm)

    def _compared(self, metric: str, sign: float, alpha: float) -> MetricComparison:
        before, after = self.champion.figures[metric], self.candidate.figures[metric]
        spread = self._spread(after.terms - before.terms)
        gain = sign * (after.value - before.value)
        lower, upper, p_value = one_sided(gain, spread, alpha)
        return MetricComparison(
            metric, before.value, after.value, gain, lower, upper, p_value,
            self.sample.positives, self.sample.negatives, spread,
        )  # fmt: skip

    def _spread(self, terms: Floats) -> Spread:
        return _spread(self.sample, terms, self.champion.alerted | self.candidate.alerted)


@dataclass(frozen=True, slots=True)
class Harm:
    """The gain by a guarded figure (above 0: better), what may be lost, the p-value of harm."""

    gain: MetricComparison
    tolerance: float
    p_value: float


def _share(part: Bools, whole: Bools) -> Estimated:
    """The share of `whole` that is in `part`; NaN where there is none."""
    count = int(np.count_nonzero(whole))
    if count == 0:
        return Estimated(float("nan"), np.full(len(whole), np.nan))
    share = float(np.count_nonzero(part & whole)) / count
    return Estimated(share, np.where(whole, part - share, 0.0) / count)


def _spread(sample: PairedSample, terms: Floats, alerted: Bools) -> Spread:
    """The error of a sum of terms; groups without an alert or a positive add next to nothing."""

    def variance_of(codes: Codes) -> float:
        totals = np.bincount(codes, weights=terms)[np.bincount(codes) > 0]
        return float(np.square(totals - totals.mean()).sum())

    return spread_over(sample.groupings, alerted | sample.positive, variance_of)
