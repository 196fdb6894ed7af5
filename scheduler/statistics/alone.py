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
from scheduler.statistics.figures import Numbers
from scheduler.statistics.measure import Plan
from scheduler.statistics.sample import NotComparable, PairedSample
from shared.verdicts import Outcome, Verdict

GATE = "metrics"


class Path(StrEnum):
    """Why there is nothing to compare with."""

    FIRST_MODEL = "first_model"
    CHAMPION_UNSCORABLE = "champion_unscorable"


def judge_alone(
    evidence: Evidence,
    floors: Mapping[str, float],
    path: Path,
    *,
    min_positives: int = 100,
    alpha: float = 0.05,
    plan: Plan | None = None,
) -> Verdict:
    """PASS when every metric's lower bound reaches its floor.

    The error of one model is that of its difference to a champion that scores every row alike.

    Raises:
        ValueError: a floor for a metric that is not known.
    """
    numbers: Numbers = {"path": str(path), "alpha": alpha}
    constant = np.zeros(len(evidence.candidate))
    try:
        sample = replace(evidence, champion=constant).sample()
    except NotComparable as problem:
        return Verdict(GATE, Outcome.INCONCLUSIVE, f"cannot measure: {problem.reason}", numbers)
    numbers |= {"positives": sample.positives, "negatives": sample.negatives}
    if sample.positives < min_positives or not floors:
        reason = f"{sample.positives} matured positives, {min_positives} are needed"
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason if floors else "no floors", numbers)
    missed = _missed(sample, floors, alpha, plan or Plan(), numbers)
    if missed:
        return Verdict(GATE, Outcome.FAIL, "; ".join(missed), numbers)
    return Verdict(GATE, Outcome.PASS, f"reaches every floor ({path})", numbers)


def _missed(
    sample: PairedSample, floors: Mapping[str, float], alpha: float, plan: Plan, numbers: Numbers
) -> list[str]:
    """The floors that are not reached, in words; adds every figure to `numbers`."""
    missed = []
    for metric, floor in floors.items():
        result = compare_sample(sample, metric, alpha, plan)
        lower = result.champion + result.lower
        numbers |= {f"{metric}.candidate": result.candidate, f"{metric}.lower": lower}
        numbers[f"{metric}.floor"] = floor
        if not lower >= floor:
            missed.append(f"{metric} at least {lower:.4f}, floor {floor:.4f}")
    return missed
