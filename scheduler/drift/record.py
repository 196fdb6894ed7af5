"""A finding as JSON: for the run's metrics, the report file and the command line."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from scheduler.drift.alarm import ALARM
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
