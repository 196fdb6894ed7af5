"""The decision: a pure function of the verdicts, stored with its inputs so it can be replayed.

Only PROMOTE lets a candidate be signed. Everything that is missing, unclear or failed
refuses; there is no default that promotes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from shared.verdicts import Outcome, Verdict

RULES_VERSION = 2
DATA_QUALITY, FEATURE_QUALITY = "data_quality", "feature_quality"
LATENCY, API_HEALTH, METRICS = "latency", "api_health", "metrics"
REQUIRED_GATES = (DATA_QUALITY, FEATURE_QUALITY, LATENCY, API_HEALTH, METRICS)


class PromotionAction(StrEnum):
    """The decision about a candidate."""

    PROMOTE = "PROMOTE"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """Everything a decision rests on.

    Attributes:
        candidate_sha256: digest of the bundle that was judged; nothing else may be pushed.
        first_model: nothing serves yet, so there is no champion to be compared with.
        champion_scored: whether the champion took part in the comparison.
    """

    candidate_version: str | None
    candidate_sha256: str | None
    champion_version: str | None
    first_model: bool
    champion_scored: bool
    policy: str
    verdicts: tuple[Verdict, ...]
    rules_version: int = RULES_VERSION


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """The action, one sentence for people, a code for machines, and the inputs."""

    action: PromotionAction
    code: str
    reason: str
    inputs: DecisionInputs

    @property
    def promotes(self) -> bool:
        return self.action is PromotionAction.PROMOTE


def decide(inputs: DecisionInputs) -> PromotionDecision:
    """PROMOTE if, and only if, every required gate returned PASS and so did all others."""
    for verdict in inputs.verdicts:
        if verdict.outcome is not Outcome.PASS:
            reason = f"{verdict.gate} {verdict.outcome}: {verdict.reason}"
            return PromotionDecision(
                PromotionAction.REFUSE, f"{verdict.gate}_{verdict.outcome.lower()}", reason, inputs
            )
    missing = sorted(set(REQUIRED_GATES) - {verdict.gate for verdict in inputs.verdicts})
    if missing:
        return _refuse(inputs, "gate_missing", f"no verdict from {', '.join(missing)}")
    if not inputs.candidate_version or not inputs.candidate_sha256:
        return _refuse(inputs, "candidate_missing", "there is no candidate to promote")
    if inputs.first_model != (inputs.champion_version is None):
        return _refuse(
            inputs, "champion_unclear", "a first model and a champion exclude each other"
        )
    if inputs.first_model:
        reason = f"{inputs.candidate_version} is the first model and reaches every floor"
        return PromotionDecision(PromotionAction.PROMOTE, "first_model", reason, inputs)
    against = f"{inputs.candidate_version} passed every gate against {inputs.champion_version}"
    if not inputs.champion_scored:
        reason = f"{against}, which could not be scored; policy {inputs.policy} allows that"
        return PromotionDecision(
            PromotionAction.PROMOTE, "promoted_over_unscored_champion", reason, inputs
        )
    return PromotionDecision(PromotionAction.PROMOTE, "promoted", against, inputs)


def _refuse(inputs: DecisionInputs, code: str, reason: str) -> PromotionDecision:
    return PromotionDecision(PromotionAction.REFUSE, code, reason, inputs)


def to_json(decision: PromotionDecision) -> dict[str, Any]:
    """The decision and its inputs, JSON-ready."""
    stored = asdict(decision)
    stored["inputs"]["verdicts"] = [verdict_to_json(item) for item in decision.inputs.verdicts]
    return stored


def from_json(stored: Mapping[str, Any]) -> PromotionDecision:
    """The decision as it was stored; `from_json(to_json(d)) == d`."""
    inputs = dict(stored["inputs"])
    verdicts = tuple(_verdict_from_json(item) for item in inputs.pop("verdicts"))
    return PromotionDecision(
        PromotionAction(stored["action"]),
        stored["code"],
        stored["reason"],
        DecisionInputs(verdicts=verdicts, **inputs),
    )


def replay(stored: Mapping[str, Any]) -> PromotionDecision:
    """Decide again from the stored inputs; equal to `from_json(stored)` unless rules changed."""
    return decide(from_json(stored).inputs)


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "gate": verdict.gate,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason,
        "numbers": dict(verdict.numbers),
    }


def _verdict_from_json(stored: Mapping[str, Any]) -> Verdict:
    return Verdict(
        stored["gate"], Outcome(stored["outcome"]), stored["reason"], dict(stored["numbers"])
    )
