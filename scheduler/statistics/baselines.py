"""Baselines: simple models that a candidate has to beat, whatever the champion does.

Each has to be beaten by the lower bound of the gain. All of them have to be, so none needs a
correction for the others: that two baselines are both called beaten by mistake is rarer still.
"""

import math
from dataclasses import replace

from scheduler.statistics.compare import compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.findings import ReasonedOutcome, told_values
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import NotComparable
from scheduler.statistics.verdict_numbers import Numbers, comparison_numbers
from shared.verdicts import Outcome


def not_beaten(evidence: Evidence, policy: JudgePolicy, numbers: Numbers) -> ReasonedOutcome | None:
    """Why a candidate may not be promoted over its own baselines, if so; adds every figure."""
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
    what = f"{metric} of {name} and candidate {told_values(result)}"
    if result.lower > 0.0:
        return None
    if result.p_lost_more_than(0.0) <= policy.guard_alpha:
        return ReasonedOutcome(Outcome.FAIL, f"worse than its baseline: {what}")
    bound = f"gain at least {result.lower:+.4f}"
    return ReasonedOutcome(Outcome.INCONCLUSIVE, f"not shown to beat its baseline: {what}, {bound}")
