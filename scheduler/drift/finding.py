"""One look at live traffic: read, compared, estimated; nothing is done about it here."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine

from scheduler.drift.baseline import ChampionBaseline, NotChecked
from scheduler.drift.check import DriftLimits, DriftReport, check_drift
from scheduler.drift.column_baseline import ColumnBaselines
from scheduler.drift.estimate import (
    NOT_CALIBRATED,
    Performance,
    PerformanceEstimate,
    estimate,
    measure,
)
from scheduler.drift.live import DriftWindow, Live, read_live
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.usecase.learning import LearningUseCase

SHORTEST_SPAN_US = MICROS_PER_DAY - 2 * MICROS_PER_HOUR
"""Morning traffic is unlike that of a whole day, and days are what was calibrated."""


@dataclass(frozen=True, slots=True)
class PerformanceExpectation:
    """Metrics estimated from scores, without labels: an early warning that no gate uses.

    Attributes:
        expected: on all rows of the window; None when the champion scored too few of them.
        held_out: the measured values on the champion's held-out rows.
        matured: the measured values where labels have matured since; `promised` is the estimate for
            the same rows, which shows how reliable the estimates are.
        is_estimated: whether the task allows an estimate without labels at all.
    """

    expected: PerformanceEstimate | None
    held_out: Performance
    matured: Performance | None
    promised: PerformanceEstimate | None
    is_estimated: bool = True


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """The result of a drift check; the report and the page are functions of it."""

    champion: str
    trained_from: datetime
    trained_until: datetime
    window: DriftWindow
    label_delay_us: int
    baseline: ColumnBaselines
    report: DriftReport
    expectation: PerformanceExpectation


def look(
    engine: Engine,
    use_case: LearningUseCase,
    champion: ChampionBaseline,
    window: DriftWindow,
    *,
    shortest_span_us: int = SHORTEST_SPAN_US,
    limits: DriftLimits | None = None,
) -> DriftFinding:
    """Compare what was served in the window with what the champion was trained on.

    Raises:
        DataUnavailable: the database cannot be read.
        NotChecked: there is too little to say anything.
    """
    delay_us = champion.baseline.label_delay_us
    live = read_live(engine, use_case, champion.manifest, window, delay_us)
    return weigh(live, champion, window, shortest_span_us=shortest_span_us, limits=limits)


def weigh(
    live: Live,
    champion: ChampionBaseline,
    window: DriftWindow,
    *,
    shortest_span_us: int = SHORTEST_SPAN_US,
    limits: DriftLimits | None = None,
) -> DriftFinding:
    """The same of rows that are there already, wherever they come from.

    Raises:
        NotChecked: there is too little to say anything.
    """
    baseline, manifest = champion.baseline, champion.manifest
    limits = limits or DriftLimits()
    _refuse_part_of_a_day(live, shortest_span_us)
    report = check_drift(baseline.columns, live.groups, limits)
    if report.reason is not None:
        raise NotChecked(report.reason)
    data = manifest.training_data
    return DriftFinding(
        champion=manifest.version,
        trained_from=data.window_start,
        trained_until=data.window_end,
        window=window,
        label_delay_us=baseline.label_delay_us,
        baseline=baseline.columns,
        report=report,
        expectation=_expectation(champion, live, limits.min_rows),
    )


def _refuse_part_of_a_day(live: Live, shortest_span_us: int) -> None:
    rows = max((len(group.days) for group in live.groups), default=0)
    if rows and live.span_us < shortest_span_us:
        hours = live.span_us / MICROS_PER_HOUR
        raise NotChecked(f"the {rows} rows are from {hours:.1f} hours; whole days are compared")


def _expectation(champion: ChampionBaseline, live: Live, min_rows: int) -> PerformanceExpectation:
    baseline = champion.baseline
    expected = matured = promised = None
    if baseline.calibration == NOT_CALIBRATED:
        return PerformanceExpectation(None, baseline.held_out, None, None, is_estimated=False)
    if len(live.scores) >= min_rows:
        expected = estimate(live.scores, baseline.calibration)
    if len(live.labelled_scores) >= min_rows and np.unique(live.labelled_positive).size == 2:
        matured = measure(live.labelled_scores, live.labelled_positive)
        promised = estimate(live.labelled_scores, baseline.calibration)
    return PerformanceExpectation(expected, baseline.held_out, matured, promised)
