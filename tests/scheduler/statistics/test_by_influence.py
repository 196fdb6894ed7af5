"""Means and functions of means: coverage, judgement of every task, margins as shares."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.task_worlds import TASK_METRICS, TaskWorld, draw_task
from scheduler.statistics.absolute import Path, intervals, judge_absolute
from scheduler.statistics.compare import compare_sample, effective_freedom
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.judge import judge
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from scheduler.statistics.sample import NotComparable
from shared.tasks import Margin
from shared.verdicts import Outcome

PLAN = MeasurementPlan()
SUPERIOR = JudgePolicy(
    PromotionKind.SUPERIORITY, "rmse", margin="2 %", rounds_per_year=12, min_positives=20
)

CLEAR = {
    "rmse": (0.15, 6_000), "mae": (0.15, 6_000), "log_loss": (0.07, 6_000),
    "macro_f1": (0.1, 6_000), "ndcg_at_5": (0.05, 1_000),
}  # fmt: skip
"""A difference that this many rows show."""


def drawn(metric: str, loss: float = 0.0, rows: int = 1_000, seed: int = 0) -> Evidence:
    return draw_task(TaskWorld(metric, rows=rows, loss=loss), np.random.default_rng(seed))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(TASK_METRICS), st.integers(0, 1_000))
def test_swapping_the_arms_turns_the_gain_around(metric: str, seed: int) -> None:
    evidence = drawn(metric, -0.05, 300, seed)
    assert evidence.champion is not None
    back = replace(evidence, champion=evidence.candidate, candidate=evidence.champion)
    there, again = (compare_sample(e.sample(), metric, 0.05, PLAN) for e in (evidence, back))
    assert again.difference == pytest.approx(-there.difference)
    assert again.lower == pytest.approx(-there.upper)
    assert again.p_value == pytest.approx(1.0 - there.p_value)


@pytest.mark.parametrize("metric", TASK_METRICS)
def test_bounds_of_equal_models_are_wrong_about_as_often_as_they_say(metric: str) -> None:
    """By symmetry there are two chances a round; 300 rows in 75 customers are few."""
    rng = np.random.default_rng(5)
    world = TaskWorld(metric, rows=300)
    wrong = 0
    for _ in range(100):
        found = compare_sample(draw_task(world, rng).sample(), metric, 0.05, PLAN)
        wrong += (found.lower > 0.0) + (found.upper < 0.0)
    assert wrong / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("metric", TASK_METRICS)
def test_a_model_worse_by_the_margin_is_seldom_called_no_worse(metric: str) -> None:
    rng = np.random.default_rng(6)
    world = TaskWorld(metric, rows=400, loss=0.02)
    margin = Margin(0.02, is_relative=True)
    called = [
        compare_sample(draw_task(world, rng).sample(), metric, 0.05, PLAN).is_no_worse_than(margin)
        for _ in range(100)
    ]
    assert np.mean(called) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.parametrize("metric", TASK_METRICS)
def test_the_gate_promotes_what_is_better_and_fails_what_is_worse(metric: str) -> None:
    policy = replace(SUPERIOR, primary_metric=metric)
    share, rows = CLEAR[metric]
    better = judge(drawn(metric, -share, rows), policy)
    assert better.outcome is Outcome.PASS, better.reason
    worse = judge(drawn(metric, share, rows), policy)
    assert worse.outcome is Outcome.FAIL
    assert better.numbers["alpha"] == pytest.approx(0.05 * 0.9 / 12)


def test_a_refresh_may_lose_a_share_of_what_the_champion_has() -> None:
    refresh = replace(SUPERIOR, kind=PromotionKind.NON_INFERIORITY, primary_metric="log_loss")
    evidence = drawn("log_loss", 0.0, 20_000)
    assert judge(evidence, refresh).outcome is Outcome.PASS
    strict = judge(evidence, replace(refresh, margin="0.01 %"))
    assert strict.outcome is Outcome.INCONCLUSIVE
    assert "log_loss 0." in strict.reason


def test_a_loss_is_told_as_people_know_it() -> None:
    verdict = judge(drawn("rmse", -0.15, 6_000), SUPERIOR)
    assert "rmse 1" in verdict.reason
    assert "-> 9" in verdict.reason or "-> 1" in verdict.reason
    assert verdict.numbers["support_of"] == "rows"


def test_harm_on_a_slice_or_a_guard_metric_refuses_any_task() -> None:
    evidence = drawn("rmse", -0.1, 6_000)
    half = np.arange(6_000) < 3_000
    spoilt = np.where(half, evidence.candidate + 30.0, evidence.candidate)
    sliced = replace(evidence, candidate=spoilt, slices={"north": half})
    verdict = judge(sliced, SUPERIOR)
    assert (verdict.outcome, "north" in verdict.reason) == (Outcome.FAIL, True)
    assert evidence.champion is not None
    # many small errors in place of few large ones
    even = np.asarray(evidence.labels + 11.0 * np.sign(evidence.candidate - evidence.labels))
    guarded = judge(
        replace(evidence, candidate=even),
        replace(SUPERIOR, primary_metric="rmse", guard_metrics={"mae": "2 %"}),
    )
    assert (guarded.outcome, "worse on mae" in guarded.reason) == (Outcome.FAIL, True)


def test_a_metric_of_another_task_cannot_be_compared() -> None:
    evidence = drawn("rmse")
    verdict = judge(evidence, replace(SUPERIOR, primary_metric="macro_f1"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "not a metric of a regression" in verdict.reason
    guarded = judge(evidence, replace(SUPERIOR, guard_metrics={"accuracy": 0.1}))
    assert guarded.outcome is Outcome.INCONCLUSIVE


def test_too_little_support_is_inconclusive_and_says_of_what() -> None:
    policy = replace(SUPERIOR, primary_metric="macro_f1", min_positives=500)
    verdict = judge(drawn("macro_f1"), policy)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "matured rows of class c, 500 are needed" in verdict.reason


def test_scores_and_labels_of_another_shape_are_not_comparable() -> None:
    evidence = drawn("macro_f1")
    for wrong in (
        replace(evidence, candidate=evidence.candidate[:, :2]),
        replace(evidence, labels=evidence.labels + 1),
        replace(evidence, candidate=evidence.candidate * np.nan),
        replace(evidence, labels=evidence.labels[:-1]),
    ):
        with pytest.raises(NotComparable):
            wrong.sample()


@pytest.mark.parametrize("metric", TASK_METRICS)
def test_a_first_model_is_held_to_floors_by_its_own_bound(metric: str) -> None:
    evidence = replace(drawn(metric), champion=None)
    policy = replace(SUPERIOR, primary_metric=metric)
    low, high = intervals(evidence, policy)[metric]
    assert low < high
    is_loss = metric in ("rmse", "mae", "log_loss")
    easy, hard = (2 * high, 0.5 * low) if is_loss else (0.5 * low, 1.1 * high)
    for floor, outcome in ((easy, Outcome.PASS), (hard, Outcome.FAIL)):
        verdict = judge_absolute(evidence, {metric: floor}, Path.FIRST_MODEL, policy)
        assert verdict.outcome is outcome, verdict.reason


def test_few_clusters_that_hold_the_error_count_as_few() -> None:
    rng = np.random.default_rng(0)
    assert effective_freedom(rng.normal(size=4_000)) == pytest.approx(4_000, rel=0.15)
    heavy = rng.normal(size=4_000)
    heavy[:3] *= 200
    assert effective_freedom(heavy) < 10
    assert effective_freedom(np.zeros(5)) == 1.0
