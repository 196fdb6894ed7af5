"""Three policies that choose the live version, replayed over the same candidates; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Policy(StrEnum):
    """NEVER keeps the first model; ALWAYS takes every candidate; GATE asks the cycle."""

    NEVER = "never retrain"
    ALWAYS = "always promote"
    GATE = "this gate"


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """The result of a round: a candidate, if one was trained, and whether the gate accepted it."""

    candidate: str | None
    promoted: bool


def serving(outcomes: Sequence[RoundOutcome]) -> Mapping[Policy, str | None]:
    """The version that each policy serves after these rounds.

    All three begin with the same model: the first that passed the gate. Before that no policy
    serves, so that all are judged on the same weeks.
    """
    first = next((at for at, outcome in enumerate(outcomes) if outcome.promoted), None)
    if first is None:
        return dict.fromkeys(Policy, None)
    since = outcomes[first:]
    trained = [outcome.candidate for outcome in since if outcome.candidate is not None]
    promoted = [outcome.candidate for outcome in since if outcome.promoted]
    return {
        Policy.NEVER: promoted[0],
        Policy.ALWAYS: trained[-1],
        Policy.GATE: promoted[-1],
    }


def promotions(outcomes: Sequence[RoundOutcome]) -> Mapping[Policy, int]:
    """Number of promotions of each policy, the first model not counted."""
    served = [serving(outcomes[: count + 1]) for count in range(len(outcomes))]
    return {
        policy: max(0, len({now[policy] for now in served if now[policy] is not None}) - 1)
        for policy in Policy
    }
