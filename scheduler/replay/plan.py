"""The plan of a replay: the instants that are due, and what each policy serves from then on; pure.

Three policies that choose the live version are replayed over the same candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.clock import isoformat
from shared.errors import UnderstudyError
from shared.intervals import Interval, next_due

MAX_ROUNDS = 2_000


class ReplayImpossible(UnderstudyError):
    """Raised when there is nothing to replay; says what to ask for instead."""


@dataclass(frozen=True, slots=True)
class ReplaySpan:
    """One round: at `as_of_us` the version that serves in [as_of_us, until_us) is chosen."""

    number: int
    as_of_us: int
    until_us: int


def plan_spans(
    interval: Interval, from_us: int, to_us: int, most: int = MAX_ROUNDS
) -> tuple[ReplaySpan, ...]:
    """Every due instant from one instant to another, both included.

    An interval such as `1W` is counted from `from_us`; a cron expression has its own instants.

    Raises:
        ReplayImpossible: no instant is due in that time, or far too many are.
    """
    if to_us < from_us:
        raise ReplayImpossible(
            f"the range is empty: it begins at {isoformat(from_us)} and ends at {isoformat(to_us)}"
        )
    spans: list[ReplaySpan] = []
    due = next_due(interval, from_us, from_us - 1)
    while due <= to_us:
        if len(spans) == most:
            raise ReplayImpossible(
                f"more than {most} rounds: choose a longer interval or a shorter range"
            )
        after = next_due(interval, from_us, due)
        spans.append(ReplaySpan(len(spans) + 1, due, after))
        due = after
    if not spans:
        raise ReplayImpossible(
            f"the range is empty: {interval.text} is not due between {isoformat(from_us)} "
            f"and {isoformat(to_us)}"
        )
    return tuple(spans)


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
