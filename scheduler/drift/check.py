"""The check: which columns have drifted, by significance after correction and by size.

An alarm needs both. A tiny shift of a hundred thousand rows is significant and does not
matter; a large one of twenty rows matters and is not significant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from scheduler.drift.baseline import Baseline, BaselineColumn
from scheduler.drift.bins import Counts, Kind, Values
from scheduler.drift.calibration import for_window
from scheduler.drift.distance import Distance, chi_square, kolmogorov_smirnov


def _floors() -> Mapping[Kind, float]:
    return {Kind.NUMBER: 0.05, Kind.SCORE: 0.05, Kind.CATEGORY: 0.1, Kind.LABEL: 0.05}


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """When a difference is an alarm.

    Attributes:
        error: share of false alarms among alarms (Benjamini-Hochberg); without any drift,
            the share of checks with an alarm.
        floors: smallest effect that matters; KS distance (a shift of .125 sigma is .05) for
            numbers and scores, Cohen's w for categories and labels.
        min_rows: fewer rows are not checked.
        max_rows: of more rows, this many evenly spaced ones are looked at; more would only
            find differences far below the floors.
    """

    error: float = 0.01
    floors: Mapping[Kind, float] = field(default_factory=_floors)
    min_rows: int = 200
    max_rows: int = 200_000


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column: how far, how likely, and whether that is an alarm."""

    name: str
    kind: Kind
    effect: float
    floor: float
    p_value: float
    p_adjusted: float
    design_effect: float
    alarm: bool


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All columns, the furthest first; `reason` says why nothing was checked, if so."""

    rows: int
    days: int
    columns: tuple[ColumnDrift, ...]
    reason: str | None = None

    @property
    def alarms(self) -> tuple[ColumnDrift, ...]:
        return tuple(column for column in self.columns if column.alarm)

    @property
    def drifted(self) -> bool:
        return bool(self.alarms)


def check_drift(
    baseline: Baseline, columns: Mapping[str, Values], days: Values, limits: DriftLimits
) -> DriftReport:
    """Compare current rows with the baseline; columns that are not given are left out."""
    rows, day_count = len(days), len(np.unique(days))
    names = [name for name in baseline.columns if name in columns]
    if rows < limits.min_rows or not names:
        reason = f"{rows} rows, {limits.min_rows} are needed" if names else "no known column"
        return DriftReport(rows, day_count, (), reason)
    step = -(-rows // limits.max_rows)
    found = {}
    for name in names:
        column = baseline.columns[name]
        design = for_window(column.design, baseline.rows_a_day, rows / step / day_count)
        found[name] = (_distance(column, columns[name][::step], design), design)
    raw = [distance.p_value for distance, _ in found.values()]
    adjusted = stats.false_discovery_control(raw, method="bh")
    drifts = [
        _judged(name, baseline.columns[name].bins.kind, measured, limits)
        for name, measured in zip(names, zip(found.values(), adjusted, strict=True), strict=True)
    ]
    drifts.sort(key=lambda drift: (not drift.alarm, drift.p_value, -drift.effect))
    return DriftReport(rows, day_count, tuple(drifts))


def _distance(column: BaselineColumn, values: Values, design: float) -> Distance:
    before: Counts = np.asarray(column.counts, dtype=np.int64)
    after = np.bincount(column.bins.codes(values), minlength=column.bins.size)
    test = kolmogorov_smirnov if column.bins.kind.ordered else chi_square
    return test(before, after, design)


def _judged(
    name: str, kind: Kind, measured: tuple[tuple[Distance, float], float], limits: DriftLimits
) -> ColumnDrift:
    (distance, design), p_adjusted = measured
    floor = limits.floors[kind]
    alarm = bool(p_adjusted <= limits.error and distance.effect >= floor)
    return ColumnDrift(
        name, kind, distance.effect, floor, distance.p_value, float(p_adjusted), design, alarm
    )
