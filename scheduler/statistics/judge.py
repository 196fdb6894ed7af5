"""The judgement: may this candidate take the champion's place, on this evidence?

PASS needs everything to hold at once; whatever cannot be measured is INCONCLUSIVE, and what
was measured as worse is FAIL. There is no branch that passes by default.
"""

import math

from scheduler.statistics.alpha_spending import round_alpha
from scheduler.statistics.baselines import not_beaten
from scheduler.statistics.compare import compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.findings import ReasonedOutcome, held_against, objection
from scheduler.statistics.guardrails import measure_guardrails
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import NotComparable, PairedSample
from scheduler.statistics.verdict_numbers import (
    FRESH,
    Numbers,
    alpha_numbers,
    comparison_numbers,
    context,
    guard_numbers,
    support_numbers,
)
from shared.verdicts import Outcome, Verdict

GATE = "metrics"


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
    return objection(guards, policy) or lost or held_against(primary, evidence, policy)


def _alpha(evidence: Evidence, policy: JudgePolicy) -> float:
    try:
        return round_alpha(policy.yearly_alpha, policy.rounds_per_year, evidence.round_number)
    except ValueError as problem:
        raise NotComparable(str(problem)) from problem
