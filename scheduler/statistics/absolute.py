"""The two audited paths without a comparison: no champion yet, or one that cannot be scored.

The candidate is held to declared floors by the lower bound of each metric, not by its point.
The verdict says which path it took, so that a promotion by it can be found again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from learning.measures import measure_named, shown_measures
from scheduler.statistics.compare import METRICS, compare_sample, estimator_of, shown
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.judge import constant_scores, not_beaten
from scheduler.statistics.measure import MeasurementPlan, one_sided
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import NotComparable, PairedSample
from scheduler.statistics.verdict_numbers import Numbers, support_numbers
from shared.tasks import TaskKind
from shared.verdicts import Outcome, Verdict

GATE = "metrics"
Interval = tuple[float, float]
SHARES = ("auc", "average_precision", "recall_at_budget")
INTERVAL_ALPHA = 0.025
INTERVAL_RESAMPLES = 400


class Path(StrEnum):
    """The reason for judging a candidate without a comparison."""

    FIRST_MODEL = "first_model"
    CHAMPION_UNSCORABLE = "champion_unscorable"


def judge_absolute(
    evidence: Evidence, floors: Mapping[str, float], path: Path, policy: JudgePolicy
) -> Verdict:
    """PASS when every metric's lower bound reaches its floor.

    The standard error of one model is that of its difference to a champion with one constant score.

    Raises:
        ValueError: a floor for a metric that is not known.
    """
    numbers: Numbers = {
        "path": str(path),
        "alpha": policy.yearly_alpha,
        "min_positives": policy.min_positives,
        "held_out_from_us": evidence.held_out_from_us,
        "trained_until_us": evidence.trained_until_us,
    }
    try:
        sample = replace(evidence, champion=np.zeros_like(evidence.candidate)).sample()
    except NotComparable as problem:
        return Verdict(GATE, Outcome.INCONCLUSIVE, f"cannot measure: {problem.reason}", numbers)
    numbers |= support_numbers(sample)
    support = sample.support
    if support.count < policy.min_positives:
        reason = f"{support.count} matured {support.what}, {policy.min_positives} are needed"
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason, numbers)
    if not floors and policy.first_model_beats_constant:
        return _held_to_constant(evidence, policy, numbers)
    if not floors:
        reason = "the policy declares no floor (first_model_min) to be reached"
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason, numbers)
    reached, missed = _held_to(sample, floors, policy, numbers)
    lost = not_beaten(evidence, policy, numbers)
    if lost is not None:
        return Verdict(GATE, lost.outcome, lost.reason, numbers)
    if missed:
        return Verdict(GATE, Outcome.FAIL, f"below its floor: {'; '.join(missed)}", numbers)
    return Verdict(GATE, Outcome.PASS, f"every floor reached: {'; '.join(reached)}", numbers)


def _held_to_constant(evidence: Evidence, policy: JudgePolicy, numbers: Numbers) -> Verdict:
    """PASS when it beats its baselines, and the best answer that ignores the row."""
    constant = {"constant": constant_scores(evidence)}
    held_to = replace(evidence, baselines={**evidence.baselines, **constant})
    lost = not_beaten(held_to, policy, numbers)
    if lost is not None:
        return Verdict(GATE, lost.outcome, lost.reason, numbers)
    gain = numbers["baseline.constant.lower"]
    reason = f"beats the best constant answer: {policy.primary_metric} by at least {gain:.4f}"
    return Verdict(GATE, Outcome.PASS, reason, numbers)


def _held_to(
    sample: PairedSample, floors: Mapping[str, float], policy: JudgePolicy, numbers: Numbers
) -> tuple[list[str], list[str]]:
    """The floors that are reached and those that are not, in words; adds every figure."""
    reached: list[str] = []
    missed: list[str] = []
    for metric, floor in floors.items():
        found = measured_alone(sample, metric, policy.yearly_alpha, policy.plan)
        value, bound = (shown(metric, number) for number in (found.value, found.lower))
        numbers |= {f"{metric}.candidate": value, f"{metric}.lower": bound}
        numbers[f"{metric}.floor"] = floor
        side = "least" if bound <= value else "most"
        said = f"{metric} {value:.4f}, at {side} {bound:.4f} (floor {floor:g})"
        (reached if found.lower >= shown(metric, floor) else missed).append(said)
    return reached, missed


@dataclass(frozen=True, slots=True)
class MeasuredAlone:
    """One model's value, larger is better, and its one-sided bounds."""

    value: float
    lower: float
    upper: float


def measured_alone(
    sample: PairedSample, metric: str, alpha: float, plan: MeasurementPlan
) -> MeasuredAlone:
    """The candidate without regard to the champion of the sample."""
    if metric in METRICS:
        result = compare_sample(sample, metric, alpha, plan)
        reach = (result.champion + result.lower, result.champion + result.upper)
        return MeasuredAlone(result.candidate, *reach)
    estimate = estimator_of(metric)(sample, plan)
    spread = estimate.spread if estimate.spread_at is None else estimate.spread_at(0.0)
    lower, upper, _ = one_sided(estimate.candidate, spread, alpha)
    return MeasuredAlone(estimate.candidate, lower, upper)


def intervals(evidence: Evidence, policy: JudgePolicy) -> Mapping[str, Interval]:
    """The 95 % intervals of the candidate's metrics.

    Empty where the rows allow no statement.
    """
    try:
        sample = replace(evidence, champion=np.zeros_like(evidence.candidate)).sample()
    except NotComparable:
        return {}
    plan = replace(policy.plan, resamples=INTERVAL_RESAMPLES)
    is_binary = evidence.task.kind is TaskKind.BINARY
    told = SHARES if is_binary else shown_measures(evidence.task)
    more = (policy.primary_metric, *policy.guard_metrics)
    found = {}
    for metric in dict.fromkeys((*told, *(name for name in more if name not in METRICS))):
        alone = measured_alone(sample, metric, INTERVAL_ALPHA, plan)
        low, high = (0.0, 1.0) if metric in METRICS else measure_named(metric).bounds
        bounds = (max(alone.lower, low), min(alone.upper, high))
        if np.isfinite(bounds).all():
            found[metric] = _ordered(shown(metric, bounds[0]), shown(metric, bounds[1]))
    return found


def _ordered(first: float, second: float) -> Interval:
    return min(first, second), max(first, second)
