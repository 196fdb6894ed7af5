"""The two audited paths without a comparison: no champion yet, or one that cannot be scored.

The candidate is held to declared floors by the lower bound of each metric, not by its point.
The verdict says which path it took, so that a promotion by it can be found again.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

import numpy as np

from scheduler.statistics.compare import compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import NotComparable, PairedSample
from scheduler.statistics.verdict_numbers import Numbers
from shared.verdicts import Outcome, Verdict

GATE = "metrics"
Interval = tuple[float, float]
SHARES = ("auc", "average_precision", "recall_at_budget")
INTERVAL_ALPHA = 0.025
INTERVAL_RESAMPLES = 400


class Path(StrEnum):
    """Why there is nothing to compare with."""

    FIRST_MODEL = "first_model"
    CHAMPION_UNSCORABLE = "champion_unscorable"


def judge_absolute(
    evidence: Evidence, floors: Mapping[str, float], path: Path, policy: JudgePolicy
) -> Verdict:
    """PASS when every metric's lower bound reaches its floor.

    The error of one model is that of its difference to a champion that scores every row alike.

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
    constant = np.zeros(len(evidence.candidate))
    try:
        sample = replace(evidence, champion=constant).sample()
    except NotComparable as problem:
        return Verdict(GATE, Outcome.INCONCLUSIVE, f"cannot measure: {problem.reason}", numbers)
    numbers |= {"positives": sample.positives, "negatives": sample.negatives}
    if sample.positives < policy.min_positives:
        reason = f"{sample.positives} matured positives, {policy.min_positives} are needed"
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason, numbers)
    if not floors:
        reason = "the policy declares no floor (first_model_min) to be reached"
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason, numbers)
    reached, missed = _held_to(sample, floors, policy, numbers)
    if missed:
        return Verdict(GATE, Outcome.FAIL, f"below its floor: {'; '.join(missed)}", numbers)
    return Verdict(GATE, Outcome.PASS, f"every floor reached: {'; '.join(reached)}", numbers)


def _held_to(
    sample: PairedSample, floors: Mapping[str, float], policy: JudgePolicy, numbers: Numbers
) -> tuple[list[str], list[str]]:
    """The floors that are reached and those that are not, in words; adds every figure."""
    reached: list[str] = []
    missed: list[str] = []
    for metric, floor in floors.items():
        result = compare_sample(sample, metric, policy.yearly_alpha, policy.plan)
        lower = result.champion + result.lower
        numbers |= {f"{metric}.candidate": result.candidate, f"{metric}.lower": lower}
        numbers[f"{metric}.floor"] = floor
        said = f"{metric} {result.candidate:.4f}, at least {lower:.4f} (floor {floor:g})"
        (reached if lower >= floor else missed).append(said)
    return reached, missed


def intervals(evidence: Evidence, policy: JudgePolicy) -> Mapping[str, Interval]:
    """Where the truth of the candidate's metrics may lie (95 %), for those that are shares.

    Empty where the rows allow no statement.
    """
    try:
        sample = replace(evidence, champion=np.zeros(len(evidence.candidate))).sample()
    except NotComparable:
        return {}
    plan = replace(policy.plan, resamples=INTERVAL_RESAMPLES)
    found = {}
    for metric in SHARES:
        result = compare_sample(sample, metric, INTERVAL_ALPHA, plan)
        bounds = (result.champion + result.lower, result.champion + result.upper)
        if np.isfinite(bounds).all():
            found[metric] = (max(bounds[0], 0.0), min(bounds[1], 1.0))
    return found
