"""The metrics gate: chooses a candidate's path, and judges by it.

Compared with a champion, a new recipe and a routine refresh each have their own policy limits. The
first model, and a candidate whose champion cannot be scored, are judged by absolute floors; the
verdict's numbers name the path, so that a promotion by it can be found again.
"""

from dataclasses import replace

import numpy as np

from scheduler.gates.contest import GATE, Contest
from scheduler.gates.judging import Number
from scheduler.statistics.absolute import Path, judge_absolute
from scheduler.statistics.judge import judge
from scheduler.statistics.policy import from_promotion
from shared.usecase.promotion import PromotionPolicy
from shared.verdicts import Outcome, Verdict


def judge_metrics(contest: Contest, policy: PromotionPolicy, seed: int) -> Verdict:
    """The verdict of the path this contest has to take."""
    if not np.isfinite(contest.evidence.candidate).all():
        return Verdict(GATE, Outcome.FAIL, "the candidate's scores are not all finite")
    if contest.champion_version is None:
        return _absolute(contest, policy, seed, Path.FIRST_MODEL)
    if contest.evidence.champion is None:
        return _over_unscored_champion(contest, policy, seed)
    held_to = from_promotion(policy, policy.kind(new_recipe=contest.new_recipe), seed)
    verdict = judge(contest.evidence, held_to)
    context: dict[str, Number] = {
        "path": "compared",
        "policy_name": policy.name,
        "new_recipe": contest.new_recipe,
    }
    return replace(verdict, numbers=context | dict(verdict.numbers))


def _over_unscored_champion(contest: Contest, policy: PromotionPolicy, seed: int) -> Verdict:
    reason = f"the champion cannot be scored ({contest.unscorable_reason})"
    if not policy.allow_unscorable_champion:
        numbers = {"path": str(Path.CHAMPION_UNSCORABLE), "policy_name": policy.name}
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason, numbers)
    verdict = _absolute(contest, policy, seed, Path.CHAMPION_UNSCORABLE)
    allowed = f"{reason}, which policy {policy.name} allows; judged by its floors"
    return replace(verdict, reason=f"{allowed}: {verdict.reason}")


def _absolute(contest: Contest, policy: PromotionPolicy, seed: int, path: Path) -> Verdict:
    held_to = from_promotion(policy, policy.kind(new_recipe=contest.new_recipe), seed)
    floors = {str(metric): floor for metric, floor in policy.first_model_min.items()}
    verdict = judge_absolute(contest.evidence, floors, path, held_to)
    numbers: dict[str, Number] = {
        "policy_name": policy.name,
        "unscorable_reason": contest.unscorable_reason,
    }
    return replace(verdict, numbers=dict(verdict.numbers) | numbers)
