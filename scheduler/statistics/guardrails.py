"""Guardrails: parts of the traffic, and other metrics, on which a candidate must do no harm.

Each tests "did it lose more than is tolerated?", and Holm's correction keeps the chance of any
false alarm at the declared error. A guardrail that cannot be measured does not pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from scheduler.statistics.compare import MetricComparison, compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.operating_point import (
    MIN_ALERTS,
    PRECISION,
    RECALL,
    VOLUME,
    OperatingPair,
    OperatingPoint,
    operating_point,
)
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import Bools, NotComparable, PairedSample
from shared.tasks import Margin

# Holm's correction (1979) for multiple tests: controls the family-wise error rate.


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: reject where they are at most the common alpha.

    The k-th smallest is multiplied by the number of remaining ones, and never falls below an
    earlier one.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw)
    left = np.arange(len(raw), 0, -1)
    stepped = np.maximum.accumulate(np.minimum(raw[order] * left, 1.0))
    adjusted = np.empty_like(raw)
    adjusted[order] = stepped
    return [float(value) for value in adjusted]


@dataclass(frozen=True, slots=True)
class Guardrail:
    """The result of one guardrail; `p_harm` is Holm-adjusted."""

    name: str
    comparison: MetricComparison
    tolerance: float
    p_harm: float
    is_operating: bool = False


@dataclass(frozen=True, slots=True)
class Guardrails:
    """All of them: measured, or not measurable with the reason.

    Attributes:
        left_out: those that this champion gives nothing to compare by, with the reason.
    """

    measured: tuple[Guardrail, ...]
    unmeasured: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def harmed(self, alpha: float) -> tuple[Guardrail, ...]:
        return tuple(item for item in self.measured if item.p_harm <= alpha)


def measure_guardrails(
    evidence: Evidence, whole: PairedSample, policy: JudgePolicy, plan: MeasurementPlan
) -> Guardrails:
    """Compare on every guard metric, on every slice, and at the thresholds that would be served."""
    found: list[Guardrail] = []
    unmeasured: dict[str, str] = {}
    for metric, tolerance in policy.guard_metrics.items():
        try:
            result = compare_sample(whole, metric, policy.guard_alpha, plan)
        except NotComparable as problem:
            unmeasured[metric] = problem.reason
            continue
        found.append(_asked(metric, result, tolerance))
    for name, mask in evidence.slices.items():
        try:
            part = evidence.sample(mask)
        except NotComparable as problem:
            unmeasured[name] = problem.reason
            continue
        result = compare_sample(part, policy.primary_metric, policy.guard_alpha, plan)
        found.append(_asked(name, result, policy.slice_tolerance))
    operating = _operating(evidence, whole, policy, plan)
    found.extend(operating.measured)
    adjusted = holm([item.p_harm for item in found])
    measured = tuple(replace(item, p_harm=p) for item, p in zip(found, adjusted, strict=True))
    return Guardrails(measured, unmeasured | dict(operating.unmeasured), operating.left_out)


def _asked(name: str, result: MetricComparison, tolerance: float | str) -> Guardrail:
    margin = Margin.parse(tolerance)
    return Guardrail(name, result, margin.of(result.champion), result.p_lost_more_than(margin))


def _operating(
    evidence: Evidence, whole: PairedSample, policy: JudgePolicy, plan: MeasurementPlan
) -> Guardrails:
    """The declared figures of the operating point; `p_harm` is not adjusted yet."""
    declared, masks = policy.operating_guards, (evidence.champion_alerts, evidence.candidate_alerts)
    if not declared:
        return Guardrails((), {})
    if masks[0] is None or masks[1] is None:
        reason = "which rows the models alert on is not known"
        return Guardrails((), dict.fromkeys(declared, reason))
    champion, candidate = (_point(whole, alerted, plan) for alerted in masks if alerted is not None)
    pair = OperatingPair(whole, champion, candidate)
    skipped = _few_alerts(champion.alerts, candidate.alerts)
    can_be_right = skipped is None and VOLUME in declared
    left_out = _growth_that_is_right(pair, plan.daily_alerts) if can_be_right else {}
    measured = []
    for metric, tolerance in declared.items():
        if metric in left_out or (metric == PRECISION and skipped is not None):
            continue
        found = pair.harm(metric, tolerance, policy.guard_alpha)
        measured.append(
            Guardrail(metric, found.gain, found.tolerance, found.p_value, is_operating=True)
        )
    if skipped is None or PRECISION not in declared:
        return Guardrails(tuple(measured), {}, left_out)
    if champion.alerts < MIN_ALERTS:
        return Guardrails(tuple(measured), {}, {PRECISION: skipped})
    return Guardrails(tuple(measured), {PRECISION: skipped})


def _point(whole: PairedSample, alerted: Bools, plan: MeasurementPlan) -> OperatingPoint:
    if alerted.shape != whole.positive.shape:
        raise NotComparable("alerts and labels differ in length")
    return operating_point(whole, alerted, plan)


def _growth_that_is_right(pair: OperatingPair, daily_alerts: int) -> dict[str, str]:
    """The reason for not asking whether alerts grew: they found what the champion missed.

    A champion that drift has made blind alerts on little; what replaces it has to alert on more.
    """
    before, after = pair.champion.figures, pair.candidate.figures
    volume = after[VOLUME].value
    is_right = all(after[name].value >= before[name].value for name in (PRECISION, RECALL))
    if volume <= before[VOLUME].value or volume > daily_alerts or not is_right:
        return {}
    shares = f"{before[PRECISION].value:.0%} -> {after[PRECISION].value:.0%}"
    found = f"{before[RECALL].value:.0%} -> {after[RECALL].value:.0%}"
    return {
        VOLUME: f"more alerts, as often right ({shares}), find more (recall {found}), and are "
        f"within the {daily_alerts} a day that people can review"
    }


def _few_alerts(champion: int, candidate: int) -> str | None:
    """The reason for not comparing precision, where there are too few alerts.

    A champion that hardly alerts has no precision to lose: volume and money are judged. A
    candidate that hardly alerts where the champion does is not passed without being measured.
    """
    for who, alerts in (("champion", champion), ("candidate", candidate)):
        if alerts < MIN_ALERTS:
            return f"the {who} alerts on {alerts} of the held-out rows, {MIN_ALERTS} are needed"
    return None
