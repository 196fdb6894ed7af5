"""Both models' operating points as figures to be shown: values, intervals, differences.

The intervals are two-sided 95 % and for people; what decides is the guard in guardrails.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from scheduler.statistics.evidence import Evidence
from scheduler.statistics.operating_point import (
    FIGURES,
    MONEY,
    PRECISION,
    RECALL,
    OperatingPair,
    OperatingPoint,
    operating_point,
    own_interval,
)
from scheduler.statistics.policy import JudgePolicy
from scheduler.statistics.sample import NotComparable, PairedSample

INTERVAL_ALPHA = 0.025
Interval = tuple[float, float]
Figure = TypeVar("Figure")
OF_MONEY = frozenset({MONEY, "alert_saved", "alert_missed", "alert_work"})


@dataclass(frozen=True, slots=True)
class FigureChange:
    """The difference between the candidate's and the champion's figure, with its interval."""

    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class OperatingFigures:
    """Values by figure; empty if it is not known which rows a model alerts on.

    Beside the four figures that can be guarded, the parts that money is made of, all a day:
    `alert_saved` (amounts of the positives alerted on), `alert_missed` (those of the others) and
    `alert_work` (what people cost).
    """

    champion: Mapping[str, float] = field(default_factory=dict)
    candidate: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    champion_intervals: Mapping[str, Interval] = field(default_factory=dict)
    changes: Mapping[str, FigureChange] = field(default_factory=dict)


def operating_figures(evidence: Evidence, policy: JudgePolicy) -> OperatingFigures:
    """The totals of both models' alerts on the held-out rows."""
    if evidence.candidate_alerts is None:
        return OperatingFigures()
    try:
        # the error of one model does not need the other's scores
        sample = replace(evidence, champion=evidence.candidate).sample()
    except NotComparable:
        return OperatingFigures()
    candidate = operating_point(sample, evidence.candidate_alerts, policy.plan)
    has_money = evidence.amounts is not None or policy.cost_per_alert > 0
    found = _of_both(evidence, sample, candidate, policy)
    return found if has_money else without_money(found)


def without_money(found: OperatingFigures) -> OperatingFigures:
    """The figures without sums of money, for rows without a stake and alerts without a cost."""
    return OperatingFigures(
        _kept(found.champion),
        _kept(found.candidate),
        _kept(found.intervals),
        _kept(found.champion_intervals),
        _kept(found.changes),
    )


def _kept(side: Mapping[str, Figure]) -> dict[str, Figure]:
    return {name: figure for name, figure in side.items() if name not in OF_MONEY}


def _of_both(
    evidence: Evidence, sample: PairedSample, candidate: OperatingPoint, policy: JudgePolicy
) -> OperatingFigures:
    if evidence.champion_alerts is None:
        return OperatingFigures({}, _values(candidate), _intervals(sample, candidate))
    champion = operating_point(sample, evidence.champion_alerts, policy.plan)
    return OperatingFigures(
        _values(champion),
        _values(candidate),
        _intervals(sample, candidate),
        _intervals(sample, champion),
        _changes(OperatingPair(sample, champion, candidate)),
    )


def _values(point: OperatingPoint) -> dict[str, float]:
    values = {name: figure.value for name, figure in point.figures.items()}
    return values | {
        "alert_saved": point.saved,
        "alert_missed": point.missed,
        "alert_work": point.work,
    }


def _intervals(sample: PairedSample, point: OperatingPoint) -> dict[str, Interval]:
    found = {}
    for metric in FIGURES:
        lower, upper = own_interval(sample, point, metric, INTERVAL_ALPHA)
        if metric in (PRECISION, RECALL):
            lower, upper = max(lower, 0.0), min(upper, 1.0)
        if np.isfinite((lower, upper)).all():
            found[metric] = (lower, upper)
    return found


def _changes(pair: OperatingPair) -> dict[str, FigureChange]:
    found = {}
    for metric in FIGURES:
        result = pair.change(metric, INTERVAL_ALPHA)
        change = FigureChange(result.difference, result.lower, result.upper)
        if np.isfinite((change.difference, change.lower, change.upper)).all():
            found[metric] = change
    return found
