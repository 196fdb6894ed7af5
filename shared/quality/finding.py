"""A finding: which fault, in which column, in words and in numbers, and how bad it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

Number = float | int | str | bool | None


class Severity(IntEnum):
    """A notice is reported and does not block; ruin means that no row can be trusted."""

    NOTICE = 1
    FAULT = 2
    RUIN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; the first of `numbers` is the figure that it rests on."""

    fault: str
    column: str
    detail: str
    numbers: Mapping[str, Number]
    severity: Severity = Severity.FAULT

    @property
    def figure(self) -> Number:
        return next(iter(self.numbers.values()), None)

    @property
    def text(self) -> str:
        return f"{self.column} {self.detail} [{self.fault}]"

    def is_accepted(self, accepted: frozenset[str]) -> bool:
        """True if the policy accepts this fault, everywhere or in this column."""
        return bool(accepted & {self.fault, f"{self.fault}:{self.column}"})
