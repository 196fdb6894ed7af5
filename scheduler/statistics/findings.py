"""The outcome under the policy, and one sentence for people."""

import math
from dataclasses import dataclass

from scheduler.statistics.compare import MetricComparison, shown
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.guardrails import Guardrail, Guardrails
from scheduler.statistics.operating_point import MONEY, PRECISION, RECALL, VOLUME
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from shared.tasks import Margin
from shared.verdicts import Outcome

SAID = {
    PRECISION: "precision of the alerts",
    RECALL: "recall of the alerts",
    VOLUME: "alerts a day",
    MONEY: "money a day",
}


@dataclass(frozen=True, slots=True)
class ReasonedOutcome:
    """An outcome and its reason; `is_fresh`: the champion's age alone speaks against it."""

    outcome: Outcome
    reason: str
    is_fresh: bool = False


def objection(guards: Guardrails, policy: JudgePolicy) -> ReasonedOutcome | None:
    """The guardrails that were violated, if any."""
    harmed = guards.harmed(policy.guard_alpha)
    if harmed:
        worst = min(harmed, key=lambda item: item.p_harm)
        return ReasonedOutcome(Outcome.FAIL, _worst_text(worst))
    if guards.unmeasured:
        name, why = next(iter(guards.unmeasured.items()))
        what = SAID.get(name, f"slice {name}")
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"{what} cannot be compared: {why}")
    undefined = [item.name for item in guards.measured if not math.isfinite(item.p_harm)]
    if undefined:
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"{undefined[0]} could not be measured")
    return None


def _worst_text(worst: Guardrail) -> str:
    found = worst.comparison
    certainty = f"(p {worst.p_harm:.4f} after Holm)"
    if not worst.is_operating:
        return (
            f"worse on {worst.name}: {found.metric} {found.difference:+.4f} where "
            f"{-worst.tolerance:+.4f} is tolerated {certainty}"
        )
    figures = f"{found.champion:.4g} -> {found.candidate:.4g}"
    return (
        f"worse at the thresholds that would be served: {SAID[worst.name]} {figures}, worse by "
        f"{-found.difference:.4g} where {worst.tolerance:.4g} is tolerated {certainty}"
    )


def held_against(
    result: MetricComparison, evidence: Evidence, policy: JudgePolicy
) -> ReasonedOutcome:
    """Better; or, for a refresh, no worse than the margin while the champion is due."""
    what = f"{result.metric} {told_values(result)}"
    bound = f"gain at least {result.lower:+.4f}"
    if result.lower > 0.0:
        return ReasonedOutcome(Outcome.PASS, f"better: {what}, {bound}")
    if result.p_lost_more_than(0.0) <= policy.guard_alpha:
        return ReasonedOutcome(Outcome.FAIL, f"worse: {what}")
    if policy.kind is PromotionKind.SUPERIORITY:
        return ReasonedOutcome(Outcome.INCONCLUSIVE, f"not shown to be better: {what}, {bound}")
    margin = Margin.parse(policy.margin)
    if not result.is_no_worse_than(margin):
        needed = f"margin {-margin.of(result.champion):+.4f}"
        return ReasonedOutcome(
            Outcome.INCONCLUSIVE, f"not shown to be no worse: {what}, {bound}, {needed}"
        )
    due = _due(evidence, policy)
    if due is None:
        return ReasonedOutcome(
            Outcome.INCONCLUSIVE, f"no worse, but the champion is fresh: {what}", is_fresh=True
        )
    return ReasonedOutcome(Outcome.PASS, f"no worse and {due}: {what}, {bound}")


def told_values(result: MetricComparison) -> str:
    """Both values as people know them: a loss without its minus sign."""
    champion, candidate = (
        shown(result.metric, value) for value in (result.champion, result.candidate)
    )
    return f"{champion:.4f} -> {candidate:.4f}"


def _due(evidence: Evidence, policy: JudgePolicy) -> str | None:
    """The reason why the champion is due for a refresh; None while it is not."""
    if evidence.forced_by is not None:
        return f"asked for by {evidence.forced_by}"
    if evidence.drifted:
        return "the data has drifted"
    age = evidence.champion_age_days
    if age is not None and age > policy.champion_max_age_days:
        return f"the champion is {age:.0f} days old"
    return None
