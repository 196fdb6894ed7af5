"""The check: an alarm needs significance and size, and nothing else makes one."""

import json
from typing import Any

import numpy as np
import pytest

from scheduler.drift.bins import ColumnKind
from scheduler.drift.check import DriftLimits, check_drift
from scheduler.drift.column_baseline import ColumnBaselines, Rows, fit_columns, from_json, to_json

KINDS = {
    "amount": ColumnKind.NUMBER,
    "channel": ColumnKind.CATEGORY,
    "score": ColumnKind.SCORE,
    "label": ColumnKind.LABEL,
}
LIMITS = DriftLimits()
Columns = dict[str, np.ndarray[Any, Any]]


def rows(seed: int, count: int, days: int) -> tuple[Columns, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    columns: Columns = {
        "amount": rng.gamma(2.0, 40.0, size=count),
        "channel": rng.choice(["web", "shop", "phone"], p=[0.6, 0.3, 0.1], size=count),
        "score": rng.beta(1.0, 20.0, size=count),
        "label": (rng.random(count) < 0.02).astype(np.int8),
    }
    return columns, np.sort(np.arange(count) % days)


@pytest.fixture(scope="module")
def baseline() -> ColumnBaselines:
    return fit_columns([Rows(*rows(0, 30_000, 60))], KINDS)


def test_the_same_traffic_raises_no_alarm(baseline: ColumnBaselines) -> None:
    report = check_drift(baseline, [Rows(*rows(1, 3_000, 7))], LIMITS)
    assert not report.drifted
    assert {column.name for column in report.columns} == set(KINDS)


@pytest.mark.parametrize("name", ["amount", "channel", "score", "label"])
def test_a_column_that_moves_is_named_and_the_others_are_not(
    name: str, baseline: ColumnBaselines
) -> None:
    columns, days = rows(2, 6_000, 7)
    moved: Columns = {
        "amount": columns["amount"] * 1.5,
        "channel": np.where(columns["channel"] == "phone", "kiosk", columns["channel"]),
        "score": columns["score"] ** 0.7,
        "label": np.arange(6_000) % 20 == 0,
    }
    moved["label"] = moved["label"].astype(np.int8)
    report = check_drift(baseline, [Rows(columns | {name: moved[name]}, days)], LIMITS)
    assert [column.name for column in report.alarms] == [name]
    assert report.columns[0].name == name


def test_a_burst_of_nulls_is_drift(baseline: ColumnBaselines) -> None:
    columns, days = rows(3, 3_000, 7)
    columns["amount"][::5] = np.nan
    assert [c.name for c in check_drift(baseline, [Rows(columns, days)], LIMITS).alarms] == [
        "amount"
    ]


def test_a_tiny_shift_is_significant_in_many_rows_and_still_no_alarm(
    baseline: ColumnBaselines,
) -> None:
    columns, days = rows(4, 150_000, 7)
    columns["amount"] = columns["amount"] * 1.03
    report = check_drift(baseline, [Rows(columns, days)], LIMITS)
    found = next(column for column in report.columns if column.name == "amount")
    assert found.effect < found.floor
    assert not report.drifted


def test_too_few_rows_are_not_judged(baseline: ColumnBaselines) -> None:
    report = check_drift(baseline, [Rows(*rows(5, 100, 2))], LIMITS)
    assert (report.columns, report.reason) == ((), "100 rows, 200 are needed")


def test_columns_that_are_not_known_yet_are_left_out(baseline: ColumnBaselines) -> None:
    columns, days = rows(6, 1_000, 7)
    del columns["label"]
    assert "label" not in {
        c.name for c in check_drift(baseline, [Rows(columns, days)], LIMITS).columns
    }
    assert check_drift(baseline, [Rows({}, days)], LIMITS).reason == "no known column"


def test_days_that_stray_by_themselves_raise_no_alarm() -> None:
    def straying(seed: int, count: int, days: int) -> tuple[Columns, np.ndarray[Any, Any]]:
        rng = np.random.default_rng(seed)
        which = np.sort(np.arange(count) % days)
        return {"amount": rng.normal(size=count) + rng.normal(0, 0.3, days)[which]}, which

    columns, days = straying(0, 30_000, 60)
    known = fit_columns([Rows(columns, days)], {"amount": ColumnKind.NUMBER})
    false_alarms = sum(
        check_drift(known, [Rows(*straying(seed, 1_500, 3))], LIMITS).drifted
        for seed in range(1, 101)
    )
    assert false_alarms <= 3


def walking(seed: int, days: int, start: float, step: float) -> Rows:
    """A column whose level walks from day to day."""
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(days), 300)
    level = start + np.cumsum(rng.normal(0.0, step, size=days))
    return Rows({"amount": rng.normal(size=len(which)) + level[which]}, which)


def test_a_column_whose_own_weeks_differ_has_to_move_further_than_they_do() -> None:
    known = fit_columns([walking(0, 60, 0.0, 0.2)], {"amount": ColumnKind.NUMBER})
    moved = check_drift(known, [walking(2, 7, 8.0, 0.2)], LIMITS).columns[0]
    assert known["amount"].usual > 0.05
    assert moved.floor == 0.05 + known["amount"].usual
    assert moved.alarm


def test_a_column_that_only_tells_the_time_is_skipped_and_said_so() -> None:
    days = np.repeat(np.arange(60), 100)
    known = fit_columns([Rows({"age": days * 1.0}, days)], {"age": ColumnKind.NUMBER})
    report = check_drift(known, [Rows({"age": days + 60.0}, days)], LIMITS)
    assert not report.drifted
    assert "calendar" in report.skipped["age"]


def test_labels_of_fewer_rows_than_the_features_are_judged_on_their_own(
    baseline: ColumnBaselines,
) -> None:
    columns, days = rows(7, 3_000, 7)
    few = Rows({"label": columns.pop("label")[:100]}, days[:100])
    report = check_drift(baseline, [Rows(columns, days), few], LIMITS)
    assert report.skipped == {"label": "100 rows, 200 are needed"}
    assert {column.name for column in report.columns} == {"amount", "channel", "score"}


def test_a_baseline_survives_being_stored(baseline: ColumnBaselines) -> None:
    stored = json.loads(json.dumps(to_json(baseline)))
    assert from_json(stored) == baseline
    stored["amount"]["counts"].pop()
    with pytest.raises(ValueError, match="baseline of amount"):
        from_json(stored)
