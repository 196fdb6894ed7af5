"""A gate's verdict: one of four outcomes, a reason for people, numbers for machines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """PASS is the only outcome that lets a candidate go on.

    INCONCLUSIVE: measured, but the evidence does not carry a decision.
    ERROR: the measurement itself failed. Neither says that the candidate is worse.
    """

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's judgement; `numbers` holds every figure the reason relies on."""

    gate: str
    outcome: Outcome
    reason: str
    numbers: Mapping[str, float | int | str | bool | None] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS
