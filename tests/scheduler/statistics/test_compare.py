"""The comparison: invariances, coverage of its bounds, and what it refuses to compare."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.statistics.compare import (
    METRICS,
    MetricComparison,
    NotComparable,
    compare,
    compare_sample,
)
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from tests.scheduler.statistics.worlds import Draw, draw_evidence

QUICK = MeasurementPlan(resamples=200, daily_alerts=5)


def swapped(evidence: Evidence) -> Evidence:
    assert evidence.champion is not None
    return Evidence(
        evidence.candidate,
        evidence.champion,
        evidence.labels,
        evidence.customers,
        evidence.days,
        evidence.amounts,
    )


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(sorted(METRICS)), st.integers(0, 1_000))
def test_swapping_the_arms_turns_the_gain_and_its_bounds_around(metric: str, seed: int) -> None:
    evidence = draw_evidence(seed, positives=40, negatives=400, gain=0.03)
    there = compare_sample(evidence.sample(), metric, 0.05, QUICK)
    back = compare_sample(swapped(evidence).sample(), metric, 0.05, QUICK)
    assert back.difference == pytest.approx(-there.difference)
    assert back.lower == pytest.approx(-there.upper)
    assert back.p_value == pytest.approx(1.0 - there.p_value)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_a_model_compared_with_itself_gains_nothing_for_certain(metric: str, draw: Draw) -> None:
    evidence = draw(positives=40, negatives=400)
    same = Evidence(evidence.candidate, evidence.candidate, evidence.labels, evidence.customers)
    result = compare_sample(same.sample(), metric, 0.05, QUICK)
    assert (result.difference, result.lower, result.upper, result.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert result.p_lost_more_than(0.0) == 1.0


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_the_same_seed_gives_the_same_bounds(metric: str, draw: Draw) -> None:
    sample = draw(positives=40, negatives=400).sample()
    first, again = (compare_sample(sample, metric, 0.05, QUICK) for _ in range(2))
    assert first == again


def test_the_lower_bound_covers_the_true_gain_as_often_as_it_says() -> None:
    missed = sum(
        compare_sample(draw_evidence(seed, 100, 900, gain=0.02).sample(), "auc", 0.1, QUICK).lower
        > 0.02
        for seed in range(400)
    )
    assert 0.055 < missed / 400 < 0.145


def test_the_bootstrapped_bound_covers_too() -> None:
    def below_zero(seed: int) -> bool:
        sample = draw_evidence(seed, 100, 900).sample()
        return compare_sample(sample, "average_precision", 0.1, QUICK).lower > 0.0

    assert sum(map(below_zero, range(200))) / 200 < 0.16


def test_rows_of_few_customers_say_less_than_as_many_independent_ones(draw: Draw) -> None:
    evidence = draw(customers=20, customer_share=0.9)
    assert evidence.champion is not None

    def width(clusters: np.ndarray | None) -> float:
        result = _auc(evidence, clusters)
        return result.upper - result.lower

    assert width(evidence.customers) > 1.3 * width(None)


def _auc(evidence: Evidence, clusters: np.ndarray | None) -> MetricComparison:
    assert evidence.champion is not None
    return compare(
        evidence.champion,
        evidence.candidate,
        evidence.labels,
        metric="auc",
        clusters=clusters,
        resamples=200,
        alpha=0.05,
        seed=0,
    )


GOOD = ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0, 1, 0])


@pytest.mark.parametrize(
    ("champion", "candidate", "labels", "reason"),
    [
        ([], [], [], "no rows"),
        ([0.1, np.nan, 0.2], GOOD[1], GOOD[2], "champion scores hold NaN"),
        (GOOD[0], [0.1, np.inf, 0.2], GOOD[2], "candidate scores hold NaN or infinite"),
        (GOOD[0], GOOD[1], [0, 0, 0], "no positives"),
        (GOOD[0], GOOD[1], [1, 1, 1], "no negatives"),
        (GOOD[0], GOOD[1], [0, 1, 2], "0 or 1"),
        (GOOD[0], GOOD[1], [0, 1, np.nan], "0 or 1"),
        (GOOD[0], GOOD[1], [0, 1], "differ in length"),
        (GOOD[0], GOOD[1], ["a", "b", "c"], "must be numbers"),
        ([[0.1, 0.2, 0.3]], GOOD[1], GOOD[2], "one number a row"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused_with_the_reason(
    champion: list[float], candidate: list[float], labels: list[int], reason: str
) -> None:
    with pytest.raises(NotComparable, match=reason):
        compare(
            champion,
            candidate,
            labels,
            metric="auc",
            clusters=None,
            resamples=100,
            alpha=0.05,
            seed=0,
        )


def test_an_unknown_metric_or_an_impossible_error_is_the_callers_mistake(draw: Draw) -> None:
    sample = draw(positives=5, negatives=50).sample()
    with pytest.raises(ValueError, match="unknown metric"):
        compare_sample(sample, "f1", 0.05, QUICK)
    with pytest.raises(ValueError, match="alpha"):
        compare_sample(sample, "auc", 0.7, QUICK)
