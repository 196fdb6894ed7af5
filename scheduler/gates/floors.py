"""The path without a champion's scores: declared floors, and shown to be better than chance."""

import numpy as np

from scheduler.gates.contest import GATE, Contest, figures, paired
from scheduler.gates.judging import Number
from scheduler.statistics.compare import NotComparable
from shared.usecase.learning import PromotionPolicy
from shared.verdicts import Outcome, Verdict


def judge_floors(contest: Contest, policy: PromotionPolicy, seed: int, path: str) -> Verdict:
    """Every declared floor, and better than chance with the same statistics as any gain."""
    known = {**contest.metrics, "positives": float(np.count_nonzero(contest.labels))}
    numbers: dict[str, Number] = {"path": path}
    for metric, floor in policy.first_model_min.items():
        numbers[metric], numbers[f"{metric}_min"] = known.get(metric), floor
    values = {metric: known.get(metric, np.nan) for metric in policy.first_model_min}
    undefined = sorted(metric for metric, value in values.items() if not np.isfinite(value))
    if undefined or not values:
        missing = ", ".join(undefined) or "any floor"
        return Verdict(GATE, Outcome.INCONCLUSIVE, f"{path}: no value for {missing}", numbers)
    below = [
        f"{metric} {value:.4f} is below {policy.first_model_min[metric]:g}"
        for metric, value in values.items()
        if value < policy.first_model_min[metric]
    ]
    if below:
        return Verdict(GATE, Outcome.FAIL, f"{path}: {'; '.join(below)}", numbers)
    return _against_chance(contest, policy, seed, path, numbers)


def _against_chance(
    contest: Contest,
    policy: PromotionPolicy,
    seed: int,
    path: str,
    numbers: dict[str, Number],
) -> Verdict:
    try:
        found = paired(contest, np.zeros(len(contest.labels)), policy, seed)
    except NotComparable as error:
        return Verdict(GATE, Outcome.INCONCLUSIVE, f"{path}: {error}", numbers)
    numbers = numbers | figures(found, policy, seed)
    if not found.lower > 0:
        reason = f"{path}: not shown to be better than chance, gain at least {found.lower:+.4f}"
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason, numbers)
    reason = f"{path}: every floor reached, {found.metric} {found.candidate:.4f}"
    return Verdict(GATE, Outcome.PASS, reason, numbers)
