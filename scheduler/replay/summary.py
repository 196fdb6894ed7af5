"""The summary of a replay: each policy's means over the weeks in which every policy served."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from learning.measures import measure_named
from scheduler.replay.plan import Policy, promotions
from scheduler.replay.record import Round
from shared.tables.runs import RunStatus

HEADLINE = ("auc", "average_precision")
"""These metrics come first where there are several."""


@dataclass(frozen=True, slots=True)
class MetricMean:
    """The mean of one metric over weeks; `spread` is their standard deviation."""

    value: float | None
    spread: float | None
    weeks: int


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """One policy over the whole replay."""

    policy: Policy
    promotions: int
    means: dict[str, MetricMean]


def metric_names(rounds: Sequence[Round]) -> tuple[str, ...]:
    """Every metric that any model was given, the headline ones first."""
    found = {name for record in rounds for scores in record.scores.values() for name in scores}
    first = [name for name in HEADLINE if name in found]
    return (*first, *sorted(found - set(first)))


def summarize(rounds: Sequence[Round]) -> tuple[PolicySummary, ...]:
    """One line a policy."""
    names, changes = metric_names(rounds), promotions([record.outcome for record in rounds])
    return tuple(
        PolicySummary(policy, changes[policy], {name: mean(rounds, policy, name) for name in names})
        for policy in Policy
    )


def mean(rounds: Sequence[Round], policy: Policy, name: str) -> MetricMean:
    """Over the rounds in which the metric is defined for every policy."""
    values = [[record.scored(each).get(name) for each in Policy] for record in rounds]
    compared = [row for row in values if all(value is not None for value in row)]
    place = list(Policy).index(policy)
    chosen = [float(value) for row in compared if (value := row[place]) is not None]
    return describe(chosen)


def describe(values: Sequence[float]) -> MetricMean:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return MetricMean(None, None, 0)
    return MetricMean(fmean(known), stdev(known) if len(known) > 1 else None, len(known))


def ended(rounds: Sequence[Round]) -> dict[RunStatus, int]:
    """The number of rounds by outcome."""
    return {
        status: count
        for status in RunStatus
        if (count := sum(record.status is status for record in rounds))
    }


def judged(rounds: Sequence[Round]) -> dict[str, list[float]]:
    """The candidates on the rows their own round held out, metric by metric, in order."""
    found: dict[str, list[float]] = {}
    for record in rounds:
        metrics = (record.run["metrics"] or {}).get("candidate") or {}
        for name, value in metrics.items():
            found.setdefault(name, []).append(math.nan if value is None else float(value))
    return found


def verdict(rounds: Sequence[Round], name: str) -> str:
    """One sentence for people: how the gate did beside the two policies without one."""
    gate, always, never = (
        mean(rounds, policy, name) for policy in (Policy.GATE, Policy.ALWAYS, Policy.NEVER)
    )
    if gate.value is None or always.value is None or never.value is None:
        return f"No week was long and labelled enough to compare the policies by {_said(name)}."
    sign = better_sign(name)
    return (
        f"Over {gate.weeks} rounds the gate had a mean {_said(name)} of {gate.value:.4f}: "
        f"{sign * (gate.value - never.value):+.4f} against never retraining, "
        f"{sign * (gate.value - always.value):+.4f} against promoting every candidate"
        f"{'.' if sign > 0 else ' (above 0: less of it, which is better).'}"
    )


def better_sign(name: str) -> float:
    """-1 where less of a metric is better."""
    try:
        return -1.0 if measure_named(name).is_loss else 1.0
    except ValueError:  # a metric of one use case only
        return 1.0


def _said(name: str) -> str:
    return name.replace("_", " ")
