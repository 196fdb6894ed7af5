"""Baselines: simple models that a candidate has to beat, whatever the champion does.

Each has to be beaten by the lower bound of the gain. All of them have to be, so none needs a
correction for the others: that two baselines are both called beaten by mistake is rarer still.
"""

import math
from dataclasses import replace

import numpy as np

from scheduler.statistics.compare import compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.findings import ReasonedOutcome, told_values
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import Floats, NotComparable
from scheduler.statistics.verdict_numbers import Numbers, comparison_numbers
from shared.tasks import TaskKind
from shared.verdicts import Outcome


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
    what = f"{metric} of {name} and candidate {told_values(result)}"
    if result.lower > 0.0:
        return None
    if result.p_lost_more_than(0.0) <= policy.guard_alpha:
        return ReasonedOutcome(Outcome.FAIL, f"worse than its baseline: {what}")
    bound = f"gain at least {result.lower:+.4f}"
    return ReasonedOutcome(Outcome.INCONCLUSIVE, f"not shown to beat its baseline: {what}, {bound}")


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
