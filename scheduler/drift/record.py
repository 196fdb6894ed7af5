"""A finding for its readers: JSON for run and command line, and a sentence for people."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from scheduler.drift.alarm import ALARM, Response
from scheduler.drift.check import ColumnDrift
from scheduler.drift.finding import DriftFinding, PerformanceExpectation
from shared.clock import isoformat

ONLY_A_WARNING = "an estimate without labels: an early warning, never used by a gate"


def to_json(finding: DriftFinding) -> dict[str, Any]:
    """`alarm`, the columns behind it and every figure; no NaN, which is not JSON."""
    report, window = finding.report, finding.window
    return {
        ALARM: report.drifted,
        "drifted": [column.name for column in report.alarms],
        "champion": finding.champion,
        "window": {
            "from": isoformat(window.start_us),
            "to": isoformat(window.end_us),
            "as_of": isoformat(window.as_of_us),
        },
        "rows": report.rows,
        "days": report.days,
        "columns": [_column(column) for column in report.columns],
        "not_checked": dict(report.skipped),
        "outlook": {"note": ONLY_A_WARNING, **_expectation(finding.expectation)},
    }


def _column(column: ColumnDrift) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": str(column.kind),
        "alarm": column.alarm,
        "rows": column.rows,
        "effect": round(column.effect, 5),
        "floor": round(column.floor, 5),
        "p_value": float(f"{column.p_value:.3g}"),
        "p_adjusted": float(f"{column.p_adjusted:.3g}"),
        "design_effect": round(column.design_effect, 3),
    }


def _expectation(expectation: PerformanceExpectation) -> Mapping[str, Any]:
    parts = {
        "expected": expectation.expected,
        "held_out": expectation.held_out,
        "matured": expectation.matured,
        "promised": expectation.promised,
    }
    return {name: None if part is None else _plain(asdict(part)) for name, part in parts.items()}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


_NAMED = 4


def drifted_names(finding: DriftFinding) -> str:
    """The columns that moved, the furthest first."""
    names = [column.name for column in finding.report.alarms]
    rest = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {rest} more" if rest > 0 else shown


def answer(finding: DriftFinding, response: Response, asked: int | None = None) -> str:
    """The sentence for the top of the page, the message of the run and the command line.

    `asked` is the retraining that was asked for because of it.
    """
    report = finding.report
    if not report.drifted:
        return (
            f"No: {report.rows:,} rows look like what {finding.champion} was trained on in all "
            f"{len(report.columns)} columns; nothing to do."
        )
    moved = "has" if len(report.alarms) == 1 else "have"
    return (
        f"Yes: {drifted_names(finding)} {moved} moved away from what {finding.champion} was "
        f"trained on; {response.advice}{_asked(asked)}."
    )


def _asked(run_id: int | None) -> str:
    return "" if run_id is None else f" (run {run_id} has been asked for)"
