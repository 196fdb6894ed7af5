"""One run of the cycle in progress: what it works with and what it has to show so far."""

from dataclasses import dataclass, field

from scheduler.cycle.findings import Findings
from scheduler.cycle.parts import Parts
from scheduler.cycle.report import RunReport
from scheduler.cycle.steps import StepLog


@dataclass(frozen=True, slots=True)
class CycleRun:
    """Handed from step to step; `as_of_us` is the instant whose knowledge the run may use."""

    parts: Parts
    steps: StepLog
    report: RunReport
    as_of_us: int
    findings: Findings = field(default_factory=Findings)
