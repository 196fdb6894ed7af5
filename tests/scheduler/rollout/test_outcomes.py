"""Outcomes in the driver's decisions: what they change, and how rarely they are wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest

from learning.measures import loss_metric, row_losses
from scheduler.rollout.look import ArmOutcomes, MeanEstimate, Outcomes
from scheduler.rollout.outcomes import clustered_mean
from scheduler.rollout.stage import (
    RolloutPolicy,
    StageAction,
    compare_outcomes,
    decision_from_json,
    decision_to_json,
    judge_stage,
    limits_of,
    replay,
)
from shared.tasks import Task
from tests.scheduler.rollout.arms import look

POLICY = RolloutPolicy()


def outcomes(candidate: float, champion: float = 1.0, rows: int = 900) -> Outcomes:
    arms = (
        ArmOutcomes(rows, rows // 3, MeanEstimate(mean, 0.02)) for mean in (candidate, champion)
    )
    return Outcomes("mae", *arms)


def test_a_larger_loss_than_is_tolerated_rolls_back_and_names_both() -> None:
    decision = judge_stage(look(outcomes=outcomes(1.4)), POLICY)
    assert (decision.step, decision.code) == (StageAction.ROLL_BACK, "worse_outcomes")
    assert "1.4 in 900 rows of the candidate and 1 in 900 of the champion" in decision.reason
    [found] = [one for one in limits_of(decision) if one["name"] == "outcomes"]
    assert found["is_rejected"]
    assert found["limit"] == POLICY.outcome_alpha


@pytest.mark.parametrize("loss", [0.2, 1.0, 1.09])
def test_a_smaller_loss_or_one_that_is_tolerated_changes_nothing(loss: float) -> None:
    assert judge_stage(look(outcomes=outcomes(loss)), POLICY).step is StageAction.PROMOTE


def test_a_few_entities_say_nothing() -> None:
    few = outcomes(9.0)
    few = replace(few, candidate=replace(few.candidate, groups=POLICY.minimum_groups - 1))
    assert judge_stage(look(outcomes=few), POLICY).step is StageAction.PROMOTE


def test_a_stage_may_have_to_wait_for_labels() -> None:
    patient = RolloutPolicy(stage_minimum_outcomes=1_000)
    for seen in (look(), look(outcomes=outcomes(1.0))):
        decision = judge_stage(seen, patient)
        assert (decision.step, decision.code) == (StageAction.HOLD, "too_few_outcomes")
    assert (
        judge_stage(look(outcomes=outcomes(1.0, rows=1_000)), patient).step is StageAction.PROMOTE
    )
    shadow = look(mode="shadow", share_percent=0, next_share=5)
    assert judge_stage(shadow, patient).step is StageAction.PROMOTE


def test_a_decision_by_outcomes_is_stored_and_can_be_repeated() -> None:
    decision = judge_stage(look(outcomes=outcomes(1.4)), POLICY)
    stored = json.loads(json.dumps(decision_to_json(decision), allow_nan=False))
    assert decision_from_json(stored) == decision == replay(stored)


def test_the_error_of_a_mean_knows_that_rows_of_an_entity_are_similar() -> None:
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(200), 10)
    shared = rng.normal(size=200)[codes] + 0.1 * rng.normal(size=len(codes))
    alone = rng.normal(size=len(codes))
    assert clustered_mean(shared, codes).standard_error == pytest.approx(1 / 200**0.5, rel=0.2)
    assert clustered_mean(alone, codes).standard_error == pytest.approx(1 / 2_000**0.5, rel=0.2)


def test_equal_arms_are_seldom_called_worse_however_often_one_looks() -> None:
    strict = RolloutPolicy(outcomes_tolerated=0.0001)
    rng, wrong, worlds, looks = np.random.default_rng(4), 0, 200, 25
    for _ in range(worlds):
        losses = rng.gamma(2.0, 1.0, (2, 40 * looks))
        codes = np.arange(40 * looks) // 2
        for count in range(1, looks + 1):
            arms = [clustered_mean(arm[: 40 * count], codes[: 40 * count]) for arm in losses]
            seen = Outcomes("mae", *(ArmOutcomes(40 * count, 20 * count, arm) for arm in arms))
            p_value = compare_outcomes(look(outcomes=seen), strict)
            assert p_value is not None
            if p_value < 0.05:
                wrong += 1
                break
    assert wrong <= 0.05 * worlds


@pytest.mark.parametrize(
    ("task", "metric", "expected"),
    [
        (Task.binary(), "auc", "brier"),
        (Task.binary(), "log_loss", "log_loss"),
        (Task.binary(), "recall_at_budget", "brier"),
        (Task.multiclass(["a", "b", "c"]), "macro_f1", "log_loss"),
        (Task.regression(), "rmse", "mse"),
        (Task.regression(), "r2", "mae"),
        (Task.ranking(["a", "b"]), "ndcg_at_3", "ndcg_at_3"),
    ],
)
def test_each_metric_has_a_loss_of_single_rows(task: Task, metric: str, expected: str) -> None:
    assert loss_metric(metric, task) == expected


def test_less_loss_is_better_for_every_metric() -> None:
    truth = np.array([1.0, 0.0, 1.0])
    good, bad = np.array([0.9, 0.1, 0.8]), np.array([0.2, 0.9, 0.1])
    for metric in ("brier", "log_loss", "accuracy"):
        assert row_losses(metric, good, truth).mean() < row_losses(metric, bad, truth).mean()
    with pytest.raises(ValueError, match="auc is no mean over rows"):
        row_losses("auc", good, truth)
