"""The check: which columns have drifted, by significance after correction and by size.

An alarm needs both. A tiny shift of a hundred thousand rows is significant and does not
matter; a large one of twenty rows matters and is not significant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from scheduler.drift.bins import ColumnKind, Counts
from scheduler.drift.column_baseline import MAX_ROWS, ColumnBaseline, ColumnBaselines, Rows
from scheduler.drift.distance import Distance, chi_square, for_window, kolmogorov_smirnov


def _floors() -> Mapping[ColumnKind, float]:
    return {
        ColumnKind.NUMBER: 0.05,
        ColumnKind.SCORE: 0.05,
        ColumnKind.CATEGORY: 0.1,
        ColumnKind.LABEL: 0.05,
    }


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """The thresholds above which a difference is an alarm.

    Attributes:
        error: share of false alarms among alarms (Benjamini-Hochberg); without any drift,
            the share of checks with an alarm.
        floors: smallest effect that matters; KS distance (a shift of .125 sigma is .05) for numbers
            and scores, Cohen's w for categories and labels. The difference between the column's own
            weeks is added.
        clock: a column whose own weeks differ by this much only measures time.
        min_rows: fewer rows are not checked.
        max_rows: of more rows, this many evenly spaced ones are examined.
    """

    error: float = 0.01
    floors: Mapping[ColumnKind, float] = field(default_factory=_floors)
    clock: float = 0.5
    min_rows: int = 200
    max_rows: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column: how far, how likely, and whether that is an alarm.

    Attributes:
        counts: the current rows, bin by bin as the baseline counts them.
    """

    name: str
    kind: ColumnKind
    effect: float
    floor: float
    p_value: float
    p_adjusted: float
    design_effect: float
    alarm: bool
    counts: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All columns, alarms and the furthest first.

    Attributes:
        skipped: columns that were not checked, and why.
        reason: why nothing was checked, if so.
    """

    rows: int
    days: int
    columns: tuple[ColumnDrift, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None

    @property
    def alarms(self) -> tuple[ColumnDrift, ...]:
        return tuple(column for column in self.columns if column.alarm)

    @property
    def drifted(self) -> bool:
        return bool(self.alarms)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One column before its p-value is corrected for the others."""

    name: str
    column: ColumnBaseline
    distance: Distance
    design: float
    counts: tuple[int, ...]


def check_drift(
    baseline: ColumnBaselines, groups: Sequence[Rows], limits: DriftLimits
) -> DriftReport:
    """Compare current rows with the baseline; columns that are not given are omitted."""
    skipped: dict[str, str] = {}
    found = [item for group in groups for item in _measured(baseline, group, limits, skipped)]
    largest = max((group.days for group in groups), key=len, default=np.zeros(0))
    rows, days = len(largest), len(np.unique(largest))
    if not found:
        reason = next(iter(skipped.values()), "no known column")
        return DriftReport(rows, days, (), skipped, reason)
    raw = [item.distance.p_value for item in found]
    adjusted = stats.false_discovery_control(raw, method="bh")
    drifts = [
        _judged(item, float(p_adjusted), limits)
        for item, p_adjusted in zip(found, adjusted, strict=True)
    ]
    drifts.sort(key=lambda drift: (not drift.alarm, -drift.effect / drift.floor))
    return DriftReport(rows, days, tuple(drifts), skipped)


def _measured(
    baseline: ColumnBaselines, group: Rows, limits: DriftLimits, skipped: dict[str, str]
) -> Iterator[_Measured]:
    rows = group.thinned(limits.max_rows)
    count, days = len(rows.days), len(np.unique(rows.days))
    for name, values in rows.columns.items():
        column = baseline.get(name)
        if column is None:
            continue
        reason = _unfit(column, count, limits)
        if reason:
            skipped[name] = reason
            continue
        design = for_window(column.design, column.rows_a_day, count / days)
        counts = np.bincount(column.bins.codes(values), minlength=column.bins.size)
        distance = _distance(column, counts, design)
        yield _Measured(name, column, distance, design, tuple(counts.tolist()))


def _unfit(column: ColumnBaseline, rows: int, limits: DriftLimits) -> str | None:
    if rows < limits.min_rows:
        return f"{rows} rows, {limits.min_rows} are needed"
    if column.rows < limits.min_rows:
        return f"{column.rows} rows in the baseline, {limits.min_rows} are needed"
    if column.usual >= limits.clock:
        return "it moves with the calendar: weeks of the baseline differ as much"
    return None


def _distance(column: ColumnBaseline, counts: Counts, design: float) -> Distance:
    before: Counts = np.asarray(column.counts, dtype=np.int64)
    test = kolmogorov_smirnov if column.bins.kind.ordered else chi_square
    return test(before, counts, design)


def _judged(item: _Measured, p_adjusted: float, limits: DriftLimits) -> ColumnDrift:
    kind, distance = item.column.bins.kind, item.distance
    floor = limits.floors[kind] + item.column.usual
    alarm = bool(p_adjusted <= limits.error and distance.effect >= floor)
    return ColumnDrift(
        name=item.name,
        kind=kind,
        effect=distance.effect,
        floor=floor,
        p_value=distance.p_value,
        p_adjusted=p_adjusted,
        design_effect=item.design,
        alarm=alarm,
        counts=item.counts,
    )
