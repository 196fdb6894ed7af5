"""Guardrails: parts of the traffic, and other metrics, on which a candidate must do no harm.

Each is asked "did it lose more than is tolerated?", and Holm's correction keeps the chance
of calling harm anywhere, where there is none, at the declared error. A guardrail that cannot
be measured is not a guardrail that was passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.statistics.compare import Comparison, compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.holm import holm
from scheduler.statistics.measure import Plan
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import NotComparable, PairedSample


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What one guardrail measured; `p_harm` is Holm-adjusted."""

    name: str
    comparison: Comparison
    tolerance: float
    p_harm: float


@dataclass(frozen=True, slots=True)
class Guardrails:
    """All of them: measured, or not measurable with the reason."""

    measured: tuple[Guardrail, ...]
    unmeasured: Mapping[str, str]

    def harmed(self, alpha: float) -> tuple[Guardrail, ...]:
        return tuple(item for item in self.measured if item.p_harm <= alpha)


def measure_guardrails(
    evidence: Evidence, whole: PairedSample, policy: JudgePolicy, plan: Plan
) -> Guardrails:
    """Compare on every guard metric and on every slice."""
    found: list[tuple[str, Comparison, float]] = []
    unmeasured: dict[str, str] = {}
    for metric, tolerance in policy.guard_metrics.items():
        found.append((metric, compare_sample(whole, metric, policy.guard_alpha, plan), tolerance))
    for name, mask in evidence.slices.items():
        try:
            part = evidence.sample(mask)
        except NotComparable as problem:
            unmeasured[name] = problem.reason
            continue
        result = compare_sample(part, policy.primary_metric, policy.guard_alpha, plan)
        found.append((name, result, policy.slice_tolerance))
    adjusted = holm([result.p_lost_more_than(tolerance) for _, result, tolerance in found])
    measured = tuple(Guardrail(*item, p) for item, p in zip(found, adjusted, strict=True))
    return Guardrails(measured, unmeasured)
