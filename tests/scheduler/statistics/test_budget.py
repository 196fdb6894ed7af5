"""Recall and cost at a fixed number of alerts a day, against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.statistics.budget import DailyAlerts
from scheduler.statistics.compare import compare_sample
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.sample import paired_sample

CHAMPION = [9.0, 8.0, 7.0, 9.0, 8.0, 7.0]
CANDIDATE = [7.0, 8.0, 9.0, 9.0, 8.0, 7.0]
LABELS = [0, 0, 1, 1, 0, 0]
DAYS = np.array([1, 1, 1, 2, 2, 2])
AMOUNTS = np.array([10.0, 20.0, 300.0, 40.0, 50.0, 60.0])


def test_recall_counts_the_positives_among_each_days_highest_scores() -> None:
    sample = paired_sample(CHAMPION, CANDIDATE, LABELS, days=DAYS)
    result = compare_sample(sample, "recall_at_budget", 0.05, MeasurementPlan(daily_alerts=1))
    assert (result.champion, result.candidate) == (0.5, 1.0)


def test_cost_is_the_missed_amount_and_the_alerts_of_a_day() -> None:
    sample = paired_sample(CHAMPION, CANDIDATE, LABELS, days=DAYS, amounts=AMOUNTS)
    result = compare_sample(
        sample, "cost", 0.05, MeasurementPlan(daily_alerts=1, cost_per_alert=2.0)
    )
    assert result.champion == pytest.approx(-(300.0 / 2 + 2.0))
    assert result.candidate == pytest.approx(-2.0)
    assert result.difference == pytest.approx(150.0)


def test_without_days_all_rows_share_one_budget() -> None:
    sample = paired_sample(CHAMPION, CANDIDATE, LABELS)
    result = compare_sample(sample, "recall_at_budget", 0.05, MeasurementPlan(daily_alerts=2))
    assert result.champion == 0.5


@given(st.integers(0, 500), st.integers(1, 6))
def test_a_row_drawn_twice_is_two_rows_competing_for_the_alerts(seed: int, per_day: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 40
    scores, days = rng.permutation(rows).astype(np.float64), rng.integers(3, size=rows)
    values, weights = rng.random(rows), rng.integers(0, 3, size=rows)
    alerts = DailyAlerts(scores, days, per_day, values)
    caught = alerts.caught(weights[:, None].astype(np.float64), np.arange(rows))[0]
    expected = 0.0
    for day in range(3):
        copies = np.repeat(np.flatnonzero(days == day), weights[days == day])
        top = copies[np.argsort(-scores[copies], kind="stable")][:per_day]
        expected += values[top].sum()
    assert caught == pytest.approx(expected)


def test_a_day_drawn_twice_brings_its_alerts_along() -> None:
    days = np.array([0, 0, 1, 1])
    alerts = DailyAlerts(np.array([2.0, 1.0, 2.0, 1.0]), days, 1, np.array([5.0, 1.0, 7.0, 1.0]))
    assert list(alerts.caught_a_day(2)) == [5.0, 7.0]
