"""The judgement: may this candidate take the champion's place, on this evidence?

PASS needs everything to hold at once; whatever cannot be measured is INCONCLUSIVE, and what
was measured as worse is FAIL. There is no branch that passes by default.

Baselines are simple models that a candidate has to beat, whatever the champion does, each by the
lower bound of the gain. All of them have to be beaten, so none needs a correction for the others:
that two baselines are both called beaten by mistake is rarer still.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from scheduler.statistics.compare import MetricComparison, compare_sample, shown
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.guardrails import Guardrail, Guardrails, measure_guardrails
from scheduler.statistics.operating_point import MONEY, PRECISION, RECALL, VOLUME
from scheduler.statistics.policy import JudgePolicy, PromotionKind, round_alpha
from scheduler.statistics.sample import Floats, NotComparable, PairedSample
from scheduler.statistics.verdict_numbers import (
    FRESH,
    Numbers,
    alpha_numbers,
    comparison_numbers,
    context,
    guard_numbers,
    support_numbers,
)
from shared.tasks import Margin, TaskKind
from shared.verdicts import Outcome, Verdict

GATE = "metrics"

_SAID = {
    PRECISION: "precision of the alerts",
    RECALL: "recall of the alerts",
    VOLUME: "alerts a day",
    MONEY: "money a day",
}


@dataclass(frozen=True, slots=True)
class ReasonedOutcome:
    """An outcome and its reason; `is_fresh`: the champion's age alone speaks against it."""

    outcome: Outcome
    reason: str
    is_fresh: bool = False


def judge(evidence: Evidence, policy: JudgePolicy) -> Verdict:
    """Compare candidate and champion and hold the result against the policy."""
    numbers = context(evidence, policy)
    try:
        alpha = _alpha(evidence, policy)
        sample = evidence.sample()
    except NotComparable as problem:
        return Verdict(GATE, Outcome.INCONCLUSIVE, f"cannot compare: {problem.reason}", numbers)
    numbers |= {"alpha": alpha} | support_numbers(sample)
    support = sample.support
    if support.count < policy.min_positives:
        reason = f"{support.count} matured {support.what}, {policy.min_positives} are needed"
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason, numbers)
    finding = _measure(evidence, sample, policy, alpha, numbers)
    if finding.is_fresh:
        numbers[FRESH] = True
    return Verdict(GATE, finding.outcome, finding.reason, numbers)


def _measure(
    evidence: Evidence, sample: PairedSample, policy: JudgePolicy, alpha: float, numbers: Numbers
) -> ReasonedOutcome:
    """The primary comparison, then the guardrails; adds every figure to `numbers`."""
    try:
        primary = compare_sample(sample, policy.primary_metric, alpha, policy.plan)
    except NotComparable as problem:
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"cannot compare: {problem.reason}")
    numbers |= comparison_numbers(primary.metric, primary)
    if not all(map(math.isfinite, (primary.champion, primary.difference, primary.lower))):
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"{primary.metric} could not be measured")
    numbers |= alpha_numbers(evidence, policy)
    guards = measure_guardrails(evidence, sample, policy, policy.plan)
    numbers |= guard_numbers(guards)
    lost = not_beaten(evidence, policy, numbers)
    return _objection(guards, policy) or lost or _held_against(primary, evidence, policy)


def _alpha(evidence: Evidence, policy: JudgePolicy) -> float:
    try:
        return round_alpha(policy.yearly_alpha, policy.rounds_per_year, evidence.round_number)
    except ValueError as problem:
        raise NotComparable(str(problem)) from problem


def _objection(guards: Guardrails, policy: JudgePolicy) -> ReasonedOutcome | None:
    """The guardrails that were violated, if any."""
    harmed = guards.harmed(policy.guard_alpha)
    if harmed:
        worst = min(harmed, key=lambda item: item.p_harm)
        return ReasonedOutcome(Outcome.FAIL, _worst_text(worst))
    if guards.unmeasured:
        name, why = next(iter(guards.unmeasured.items()))
        what = _SAID.get(name, f"slice {name}")
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"{what} cannot be compared: {why}")
    undefined = [item.name for item in guards.measured if not math.isfinite(item.p_harm)]
    if undefined:
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"{undefined[0]} could not be measured")
    return None


def _worst_text(worst: Guardrail) -> str:
    found = worst.comparison
    certainty = f"(p {worst.p_harm:.4f} after Holm)"
    if not worst.is_operating:
        return (
            f"worse on {worst.name}: {found.metric} {found.difference:+.4f} where "
            f"{-worst.tolerance:+.4f} is tolerated {certainty}"
        )
    figures = f"{found.champion:.4g} -> {found.candidate:.4g}"
    return (
        f"worse at the thresholds that would be served: {_SAID[worst.name]} {figures}, worse by "
        f"{-found.difference:.4g} where {worst.tolerance:.4g} is tolerated {certainty}"
    )


def not_beaten(evidence: Evidence, policy: JudgePolicy, numbers: Numbers) -> ReasonedOutcome | None:
    """The reason a candidate does not beat its simple baselines, if so; records every figure."""
    refused = None
    for name, scores in evidence.baselines.items():
        found = _against(replace(evidence, champion=scores), name, policy, numbers)
        refused = refused or found
    return refused


def _against(
    evidence: Evidence, name: str, policy: JudgePolicy, numbers: Numbers
) -> ReasonedOutcome | None:
    metric = policy.primary_metric
    try:
        result = compare_sample(evidence.sample(), metric, policy.guard_alpha, policy.plan)
    except NotComparable as problem:
        reason = f"cannot compare with the baseline {name}: {problem.reason}"
        return ReasonedOutcome(Outcome.INCONCLUSIVE, reason)
    numbers |= comparison_numbers(f"baseline.{name}", result)
    if not math.isfinite(result.lower):
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"the baseline {name} could not be measured")
    what = f"{metric} of {name} and candidate {_told_values(result)}"
    if result.lower > 0.0:
        return None
    if result.p_lost_more_than(0.0) <= policy.guard_alpha:
        return ReasonedOutcome(Outcome.FAIL, f"worse than its baseline: {what}")
    bound = f"gain at least {result.lower:+.4f}"
    return ReasonedOutcome(Outcome.INCONCLUSIVE, f"not shown to beat its baseline: {what}, {bound}")


def _held_against(
    result: MetricComparison, evidence: Evidence, policy: JudgePolicy
) -> ReasonedOutcome:
    """Better; or, for a refresh, no worse than the margin while the champion is due."""
    what = f"{result.metric} {_told_values(result)}"
    bound = f"gain at least {result.lower:+.4f}"
    if result.lower > 0.0:
        return ReasonedOutcome(Outcome.PASS, f"better: {what}, {bound}")
    if result.p_lost_more_than(0.0) <= policy.guard_alpha:
        return ReasonedOutcome(Outcome.FAIL, f"worse: {what}")
    if policy.kind is PromotionKind.SUPERIORITY:
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"not shown to be better: {what}, {bound}")
    margin = Margin.parse(policy.margin)
    if not result.is_no_worse_than(margin):
        needed = f"margin {-margin.of(result.champion):+.4f}"
        return ReasonedOutcome(
            Outcome.INCONCLUSIVE, f"not shown to be no worse: {what}, {bound}, {needed}"
        )
    due = _due(evidence, policy)
    if due is None:
        return ReasonedOutcome(
            Outcome.INCONCLUSIVE, f"no worse, but the champion is fresh: {what}", is_fresh=True
        )
    return ReasonedOutcome(Outcome.PASS, f"no worse and {due}: {what}, {bound}")


def _told_values(result: MetricComparison) -> str:
    """Both values as people know them: a loss without its minus sign."""
    champion, candidate = (
        shown(result.metric, value) for value in (result.champion, result.candidate)
    )
    return f"{champion:.4f} -> {candidate:.4f}"


def _due(evidence: Evidence, policy: JudgePolicy) -> str | None:
    """The reason why the champion is due for a refresh; None while it is not."""
    if evidence.forced_by is not None:
        return f"asked for by {evidence.forced_by}"
    if evidence.drifted:
        return "the data has drifted"
    age = evidence.champion_age_days
    if age is not None and age > policy.champion_max_age_days:
        return f"the champion is {age:.0f} days old"
    return None


def constant_scores(evidence: Evidence) -> Floats:
    """The best answer that ignores the row, as scores of every row.

    The held-out rows' own shares or means: better than any that training could have known.
    """
    labels = np.asarray(evidence.labels, dtype=np.float64)
    kind, rows = evidence.task.kind, len(labels)
    if kind is TaskKind.MULTICLASS:
        codes = labels.astype(np.int64)
        shares = np.bincount(codes, minlength=evidence.task.width) / rows
        return np.tile(shares, (rows, 1))
    if kind is TaskKind.RANKING:
        known = ~np.isnan(labels)
        sums = np.where(known, labels, 0.0).sum(axis=0)
        return np.tile(sums / np.maximum(known.sum(axis=0), 1), (rows, 1))
    return np.full(rows, labels.mean())
