"""The metrics gate: champion and candidate on the same held-out rows, never by point estimate.

A new recipe has to be superior. A routine refresh may also be no worse than a margin, once
the champion is older than the policy allows. The first model, and a champion that cannot be
scored, have their own explicit paths.
"""

import numpy as np

from scheduler.gates.contest import GATE, Contest, figures, paired
from scheduler.gates.floors import judge_floors
from scheduler.statistics.compare import Comparison, NotComparable
from shared.usecase.learning import PromotionPolicy
from shared.verdicts import Outcome, Verdict


def judge_metrics(contest: Contest, policy: PromotionPolicy, seed: int) -> Verdict:
    """The verdict of the path this contest has to take."""
    if not np.isfinite(contest.candidate).all():
        return Verdict(GATE, Outcome.FAIL, "the candidate's scores are not all finite")
    if contest.champion_version is None:
        return judge_floors(contest, policy, seed, "first model")
    if contest.champion is None:
        return _without_champion_scores(contest, policy, seed)
    positives = int(np.count_nonzero(contest.labels))
    if positives < policy.min_positives:
        return Verdict(
            GATE,
            Outcome.INCONCLUSIVE,
            f"{positives} matured positives, {policy.min_positives} are needed",
            {"positives": positives, "min_positives": policy.min_positives},
        )
    try:
        found = paired(contest, contest.champion, policy, seed)
    except NotComparable as error:
        return Verdict(GATE, Outcome.INCONCLUSIVE, str(error))
    return _judge_gain(found, contest, policy, seed)


def _judge_gain(found: Comparison, contest: Contest, policy: PromotionPolicy, seed: int) -> Verdict:
    numbers = figures(found, policy, seed) | {
        "new_recipe": contest.new_recipe,
        "champion_age_days": contest.champion_age_days,
        "non_inferiority_margin": policy.non_inferiority_margin,
        "champion_max_age_days": policy.champion_max_age_days,
    }
    outcome, why = _outcome(found, contest, policy)
    gain = (
        f"{found.metric} {found.candidate:.4f} against {found.champion:.4f}, "
        f"gain {found.difference:+.4f} in [{found.lower:+.4f}, {found.upper:+.4f}]"
    )
    return Verdict(GATE, outcome, f"{why}: {gain}", numbers)


def _outcome(found: Comparison, contest: Contest, policy: PromotionPolicy) -> tuple[Outcome, str]:
    bounds = (found.lower, found.upper)
    if not np.isfinite(bounds).all():
        return Outcome.INCONCLUSIVE, "the bounds of the gain are undefined"
    if found.lower > 0:
        return Outcome.PASS, "better than the champion"
    if found.upper < 0:
        return Outcome.FAIL, "worse than the champion"
    if contest.new_recipe or found.lower <= -policy.non_inferiority_margin:
        return Outcome.INCONCLUSIVE, "the evidence does not carry a promotion"
    age = contest.champion_age_days
    if age is None or age < policy.champion_max_age_days:
        return Outcome.INCONCLUSIVE, "as good as the champion, which is still fresh"
    return Outcome.PASS, "as good as the champion, which is past its age"


def _without_champion_scores(contest: Contest, policy: PromotionPolicy, seed: int) -> Verdict:
    reason = f"the champion cannot be scored ({contest.unscorable_reason})"
    if not policy.allow_unscorable_champion:
        return Verdict(GATE, Outcome.INCONCLUSIVE, reason)
    return judge_floors(contest, policy, seed, f"{reason}; policy {policy.name} allows that")
