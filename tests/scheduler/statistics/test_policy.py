"""What is declared is what is judged by; numbers that make no sense are refused."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from scheduler.statistics.compare import METRICS, estimator_of
from scheduler.statistics.policy import JudgePolicy, PromotionKind, from_promotion
from shared.tasks.metrics import BUDGETED
from shared.tasks.metrics import METRICS as DECLARABLE
from shared.usecase.policy import PromotionPolicy

DECLARED = PromotionPolicy(
    name="weekly",
    primary_metric="average_precision",
    margin=0.02,
    yearly_alpha=0.04,
    rounds_per_year=26,
    min_positives=120,
    champion_max_age_days=30.0,
    first_model_min={"auc": 0.7},
    guard_metrics={"auc": 0.01},
    slice_tolerance=0.03,
    guard_alpha=0.1,
    resamples=500,
    daily_alerts=50,
    cost_per_alert=2.0,
)


def test_every_declared_number_reaches_the_judge() -> None:
    policy = from_promotion(DECLARED, PromotionKind.NON_INFERIORITY, seed=9)
    shared = set(JudgePolicy.__dataclass_fields__) - {"kind", "seed"}
    assert {name: getattr(policy, name) for name in shared} == {
        name: getattr(DECLARED, name) for name in shared
    }
    assert (policy.kind, policy.seed) == (PromotionKind.NON_INFERIORITY, 9)


def test_a_new_recipe_has_to_be_better_and_a_refresh_no_worse() -> None:
    assert DECLARED.kind(new_recipe=True) is PromotionKind.SUPERIORITY
    assert DECLARED.kind(new_recipe=False) is PromotionKind.NON_INFERIORITY
    strict = replace(DECLARED, refresh=PromotionKind.SUPERIORITY)
    assert strict.kind(new_recipe=False) is PromotionKind.SUPERIORITY


def test_a_policy_may_name_every_metric_that_can_be_measured() -> None:
    names = {metric for metrics in DECLARABLE.values() for metric in metrics}
    assert set(METRICS) <= {*names, *BUDGETED}
    for name in {*names, *METRICS, "ndcg_at_10", "pinball_5"}:
        assert replace(DECLARED, primary_metric=name).primary_metric == name
        assert callable(estimator_of(name))


def test_a_loss_may_be_a_share_of_what_the_champion_has() -> None:
    relative = replace(DECLARED, margin="2 %", guard_metrics={"log_loss": "5 %"})
    policy = from_promotion(relative, PromotionKind.NON_INFERIORITY, seed=1)
    assert (policy.margin, policy.guard_metrics) == ("2 %", {"log_loss": "5 %"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "hope"}, "kind"),
        ({"margn": 0.1}, "margn"),
        ({"primary_metric": "f1"}, "primary_metric"),
        ({"guard_metrics": {"f1": 0.1}}, "f1"),
        ({"yearly_alpha": 0.9}, "yearly_alpha"),
        ({"margin": -0.1}, "margin"),
        ({"margin": float("nan")}, "margin"),
        ({"margin": "0.01"}, "margin"),
        ({"rounds_per_year": 0}, "rounds_per_year"),
        ({"min_positives": True}, "min_positives"),
        ({"resamples": 10}, "resamples"),
    ],
)
def test_a_declared_policy_that_makes_no_sense_is_refused(
    change: dict[str, Any], message: str
) -> None:
    declared = {name: getattr(DECLARED, name) for name in PromotionPolicy.__dataclass_fields__}
    with pytest.raises(ValidationError, match=message):
        PromotionPolicy(**{**declared, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"primary_metric": "f1"}, "unknown metric 'f1'"),
        ({"guard_alpha": 0.0}, "guard_alpha"),
        ({"margin": -0.1}, "margin"),
        ({"operating_guards": {"alert_precision": -0.1}}, "negative"),
        ({"daily_alerts": 0}, "1 or more"),
        ({"resamples": 10}, "resamples"),
    ],
)
def test_a_policy_made_in_code_is_checked_too(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JudgePolicy(PromotionKind.SUPERIORITY, **change)
