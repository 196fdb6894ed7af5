"""Verdicts of gates, and the findings of data quality checks that one is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum


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


TOLD_IN_FULL = 3


def conclude(
    gate: str,
    findings: Sequence[Finding],
    accepted: Sequence[str],
    numbers: Mapping[str, Number],
    clean: str,
) -> Verdict:
    """FAIL when a finding is worse than a notice and the policy does not accept it."""
    known = frozenset(accepted)
    weighed = [
        replace(found, severity=Severity.NOTICE) if found.is_accepted(known) else found
        for found in findings
    ]
    ordered = sorted(weighed, key=lambda found: -found.severity)
    faults = [found for found in ordered if found.severity > Severity.NOTICE]
    notices = [found for found in ordered if found.severity == Severity.NOTICE]
    figures = {**numbers, "faults": len(faults), "notices": len(notices), **_figures(ordered)}
    if faults:
        return Verdict(gate, Outcome.FAIL, _reason(faults), figures)
    noticed = f"; noticed: {_reason(notices)}" if notices else ""
    return Verdict(gate, Outcome.PASS, f"{clean}, no fault found{noticed}", figures)


def _reason(findings: Sequence[Finding]) -> str:
    """The worst in full, the others by name."""
    reason = "; ".join(found.text for found in findings[:TOLD_IN_FULL])
    others = findings[TOLD_IN_FULL:]
    if not others:
        return reason
    names = ", ".join(f"{found.fault} ({found.column})" for found in others)
    return f"{reason}; and {len(others)} more faults: {names}"


def _figures(findings: Sequence[Finding]) -> dict[str, Number]:
    """The figure of each fault under its name, and every number under fault, column and name."""
    figures: dict[str, Number] = {}
    for found in findings:
        figures.setdefault(found.fault, found.figure)
        if len(found.numbers) > 1 or figures[found.fault] != found.figure:
            prefix = f"{found.fault}.{found.column}"
            figures.update({f"{prefix}.{name}": value for name, value in found.numbers.items()})
    return figures
