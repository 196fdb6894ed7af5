"""The next step of a rollout: a pure function of one look and the policy.

Nothing here promotes by default. A stage is passed by time and traffic without a sign of
harm; too little traffic extends it, however long that takes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from scheduler.rollout.look import Arm, Look, MeanEstimate, from_json, to_json
from scheduler.rollout.sequential import (
    holm,
    mean_differs,
    mean_exceeds,
    rate_exceeds,
    ratio_mismatch,
)

# Tolerances of a canary, and the evidence required to decide.

CANARY_STAGES = 4


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """The requirements of a stage before the next one begins.

    Attributes:
        alpha: chance that a candidate as good as the champion is ever rolled back, over all
            comparisons, all looks and all stages.
        mismatch_alpha: the same for the test of the split, for each stage.
        stage_minimum_seconds: a stage lasts at least this long.
        stage_minimum_requests: of each arm; less extends the stage, permanently if need be.
        alert_rate_tolerated: the alert rate may differ by this share of the champion's ...
        alert_points_tolerated: ... or by this much, whichever is more.
        latency_tolerated: mean latency may grow by this share of the champion's ...
        latency_ms_tolerated: ... or by this much, whichever is more.
        scores_tolerated: largest gap between the arms' score distributions.
        outcome_alpha: the same for the test of outcomes, for each stage.
        outcomes_tolerated: the mean loss may be larger by this share of the champion's.
        stage_minimum_outcomes: rows of each arm whose truth must be known; 0: a stage does not
            wait for labels.
        minimum_groups: with fewer groups of users the spread between users cannot be estimated.
    """

    alpha: float = 0.05
    mismatch_alpha: float = 0.001
    stage_minimum_seconds: float = 1_800.0
    stage_minimum_requests: int = 1_000
    alert_rate_tolerated: float = 0.25
    alert_points_tolerated: float = 0.01
    latency_tolerated: float = 0.5
    latency_ms_tolerated: float = 1.0
    scores_tolerated: float = 0.1
    outcome_alpha: float = 0.01
    outcomes_tolerated: float = 0.1
    stage_minimum_outcomes: int = 0
    minimum_groups: int = 16

    @property
    def stage_alpha(self) -> float:
        return self.alpha / CANARY_STAGES


# The four comparisons of the arms; each p-value is anytime-valid (holds at every look).

ERRORS, LATENCY, SCORES, ALERTS = "errors", "latency", "scores", "alerts"


def compare(look: Look, policy: RolloutPolicy) -> dict[str, float]:
    """p-values against "the candidate is within what is tolerated"."""
    candidate, champion = look.candidate, look.champion_arm
    errors = rate_exceeds(candidate.errors, candidate.requests, champion.errors, champion.requests)
    if min(candidate.groups, champion.groups) < policy.minimum_groups:
        # Too few users to estimate the variance between them: no verdict yet.
        return {ERRORS: errors, LATENCY: 1.0, SCORES: 1.0, ALERTS: 1.0}
    return {
        ERRORS: errors,
        LATENCY: _latency(candidate.latency_ms, champion.latency_ms, policy),
        SCORES: _scores(candidate, champion, policy.scores_tolerated),
        ALERTS: _alerts(candidate.alert_rate, champion.alert_rate, policy),
    }


def _latency(
    candidate: MeanEstimate | None, champion: MeanEstimate | None, policy: RolloutPolicy
) -> float:
    if candidate is None or champion is None:
        return 1.0
    # The limit is a multiple of a mean that is itself uncertain, so its variance counts.
    relative = policy.latency_tolerated
    is_relative = relative * champion.mean >= policy.latency_ms_tolerated
    factor = 1.0 + relative if is_relative else 1.0
    allowance = 0.0 if is_relative else policy.latency_ms_tolerated
    difference = candidate.mean - factor * champion.mean - allowance
    variance = candidate.standard_error**2 + (factor * champion.standard_error) ** 2
    scale = max(relative * champion.mean, policy.latency_ms_tolerated)
    return mean_exceeds(difference, variance, scale)


def _alerts(
    candidate: MeanEstimate | None, champion: MeanEstimate | None, policy: RolloutPolicy
) -> float:
    if candidate is None or champion is None:
        return 1.0
    tolerated = max(policy.alert_rate_tolerated * champion.mean, policy.alert_points_tolerated)
    variance = candidate.standard_error**2 + champion.standard_error**2
    return mean_differs(candidate.mean - champion.mean, tolerated, variance, tolerated)


def _scores(candidate: Arm, champion: Arm, tolerated: float) -> float:
    """The widest gap between the distributions, at fixed edges; paid for by their number."""
    p_values = [
        mean_differs(
            mine.mean - theirs.mean,
            tolerated,
            mine.standard_error**2 + theirs.standard_error**2,
            tolerated,
        )
        for mine, theirs in zip(candidate.below, champion.below, strict=False)
    ]
    return min(1.0, len(p_values) * min(p_values)) if p_values else 1.0


def compare_outcomes(look: Look, policy: RolloutPolicy) -> float | None:
    """p-value against "the candidate loses no more than is tolerated"; None: nothing is known."""
    if look.outcomes is None:
        return None
    candidate, champion = look.outcomes.candidate, look.outcomes.champion
    if candidate.loss is None or champion.loss is None:
        return None
    if min(candidate.groups, champion.groups) < policy.minimum_groups:
        return 1.0
    # The limit is a multiple of a mean that is itself uncertain, so its variance counts.
    factor = 1.0 + policy.outcomes_tolerated
    difference = candidate.loss.mean - factor * champion.loss.mean
    variance = candidate.loss.standard_error**2 + (factor * champion.loss.standard_error) ** 2
    # the loss may grow slightly or manyfold: a test for each scale, Bonferroni-corrected
    p_values = [
        mean_exceeds(difference, variance, times * champion.loss.mean) for times in _LOSS_SCALES
    ]
    return min(1.0, len(p_values) * min(p_values))


_LOSS_SCALES = (0.1, 0.5, 2.0, 8.0)
SHADOW = "shadow"
SPLIT, OUTCOMES = "split", "outcomes"


class StageAction(StrEnum):
    """Decide the next step of a rollout."""

    HOLD = "hold"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True, slots=True)
class StageDecision:
    """The step, a code for machines, a sentence for people, and every figure it rests on.

    Attributes:
        share_percent: with ADVANCE, the share to go to.
    """

    step: StageAction
    code: str
    reason: str
    look: Look
    policy: RolloutPolicy
    share_percent: int | None = None
    p_values: Mapping[str, float] = field(default_factory=dict)


def judge_stage(look: Look, policy: RolloutPolicy) -> StageDecision:
    """Harm first, then time, then traffic."""
    p_values = dict(compare(look, policy))
    harmed = _harm(look, policy, p_values)
    step, code, reason = harmed or _progress(look, policy)
    share = look.next_share if step is StageAction.ADVANCE else None
    return StageDecision(step, code, reason, look, policy, share, p_values)


def _harm(
    look: Look, policy: RolloutPolicy, p_values: dict[str, float]
) -> tuple[StageAction, str, str] | None:
    if look.gave_up is not None:
        return StageAction.ROLL_BACK, "shadow_gave_up", look.gave_up
    worse = holm(p_values, policy.stage_alpha)
    if look.mode != SHADOW:
        p_split = ratio_mismatch(
            look.candidate.users, look.champion_arm.users, look.share_percent / 100
        )
        p_values[SPLIT] = p_split
        if p_split < policy.mismatch_alpha:
            return StageAction.ROLL_BACK, "sample_ratio_mismatch", _mismatch(look, p_split)
    p_outcomes = compare_outcomes(look, policy)
    if p_outcomes is not None:
        p_values[OUTCOMES] = p_outcomes
        if p_outcomes < policy.outcome_alpha:
            return StageAction.ROLL_BACK, "worse_outcomes", _worse_outcomes(look, p_outcomes)
    if worse:
        listed = ", ".join(f"{name} (p {p_values[name]:.2g})" for name in worse)
        return StageAction.ROLL_BACK, f"worse_{worse[0]}", f"worse than what is tolerated: {listed}"
    return None


def limits_of(decision: StageDecision) -> list[dict[str, Any]]:
    """Each test of a decision against the limit that it has at this look.

    Holm's: the smallest p-value is compared with alpha / 4, the next with alpha / 3, and so on;
    once one is not rejected, none after it is.
    """
    policy, p_values = decision.policy, decision.p_values
    own_limits = {SPLIT: policy.mismatch_alpha, OUTCOMES: policy.outcome_alpha}
    compared = {name: p_values[name] for name in p_values if name not in own_limits}
    rejected = set(holm(compared, policy.stage_alpha))
    ordered = sorted(compared.items(), key=lambda item: item[1])
    found = [
        _test(name, p_value, policy.stage_alpha / (len(ordered) - at), name in rejected)
        for at, (name, p_value) in enumerate(ordered)
    ]
    for name, limit in own_limits.items():
        if name in p_values:
            found.append(_test(name, p_values[name], limit, p_values[name] < limit))
    return found


def _test(name: str, p_value: float, limit: float, is_rejected: bool) -> dict[str, Any]:
    return {"name": name, "p_value": p_value, "limit": limit, "is_rejected": is_rejected}


def _mismatch(look: Look, p_value: float) -> str:
    users, others = look.candidate.users, look.champion_arm.users
    return (
        f"{users} of {users + others} users are in the canary, not {look.share_percent} % "
        f"(p {p_value:.2g}); comparisons between such arms cannot be trusted"
    )


def _worse_outcomes(look: Look, p_value: float) -> str:
    found = look.outcomes
    assert found is not None and found.candidate.loss and found.champion.loss  # noqa: S101, PT018
    return (
        f"the mean loss ({found.metric}) of rows whose truth is known is "
        f"{found.candidate.loss.mean:.4g} in {found.candidate.rows} rows of the candidate and "
        f"{found.champion.loss.mean:.4g} in {found.champion.rows} of the champion (p {p_value:.2g})"
    )


def _progress(look: Look, policy: RolloutPolicy) -> tuple[StageAction, str, str]:
    remaining = policy.stage_minimum_seconds - look.stage_seconds
    if remaining > 0:
        return (
            StageAction.HOLD,
            "stage_young",
            f"the stage lasts another {remaining:.0f} s at least",
        )
    fewest = min(look.candidate.requests, look.champion_arm.requests)
    if fewest < policy.stage_minimum_requests:
        wanted = policy.stage_minimum_requests
        return (
            StageAction.HOLD,
            "too_little_traffic",
            f"{fewest} of {wanted} requests in the lesser arm",
        )
    labelled = 0
    if look.outcomes is not None:
        labelled = min(look.outcomes.candidate.rows, look.outcomes.champion.rows)
    if look.mode != SHADOW and labelled < policy.stage_minimum_outcomes:
        wanted = policy.stage_minimum_outcomes
        return (
            StageAction.HOLD,
            "too_few_outcomes",
            f"{labelled} of {wanted} rows with a label in the lesser arm",
        )
    if look.next_share is None or look.mode == SHADOW:
        return StageAction.PROMOTE, "passed", "no sign of harm in any stage"
    reason = f"no sign of harm at {look.share_percent} %; on to {look.next_share} %"
    return StageAction.ADVANCE, "passed", reason


def decision_to_json(decision: StageDecision) -> dict[str, Any]:
    return {**asdict(decision), "look": to_json(decision.look)}


def replay(stored: Mapping[str, Any]) -> StageDecision:
    """Decide again from what was stored."""
    return judge_stage(from_json(stored["look"]), RolloutPolicy(**stored["policy"]))


def decision_from_json(stored: Mapping[str, Any]) -> StageDecision:
    """The decision as it was stored; equal to `replay(stored)` unless the rules changed."""
    return StageDecision(
        **{
            **stored,
            "step": StageAction(stored["step"]),
            "look": from_json(stored["look"]),
            "policy": RolloutPolicy(**stored["policy"]),
        }
    )
