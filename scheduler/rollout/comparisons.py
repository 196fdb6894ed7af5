"""The four comparisons of the arms; each gives a p-value that holds at every look."""

from scheduler.rollout.look import Arm, Look, MeanEstimate
from scheduler.rollout.policy import RolloutPolicy
from scheduler.rollout.sequential import mean_differs, mean_exceeds, rate_exceeds

ERRORS, LATENCY, SCORES, ALERTS = "errors", "latency", "scores", "alerts"


def compare(look: Look, policy: RolloutPolicy) -> dict[str, float]:
    """p-values against "the candidate is within what is tolerated"."""
    candidate, champion = look.candidate, look.champion_arm
    errors = rate_exceeds(candidate.errors, candidate.requests, champion.errors, champion.requests)
    if min(candidate.groups, champion.groups) < policy.minimum_groups:
        # Too few users to know how much they differ: these say nothing yet.
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
