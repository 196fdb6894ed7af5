"""Policies come from a use case's file and are checked before anything is judged by them."""

from typing import Any

import pytest

from scheduler.statistics.policy import JudgePolicy, Kind, from_promotion, parse_policy
from shared.usecase.learning import PromotionPolicy


def test_a_policy_is_read_from_a_table() -> None:
    policy = parse_policy({"kind": "non_inferiority", "margin": 0.005, "guard_metrics": {}})
    assert policy == JudgePolicy(Kind.NON_INFERIORITY, margin=0.005)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "'kind' is missing"),
        ({"kind": "hope"}, "hope"),
        ({"kind": "superiority", "margn": 0.1}, "unknown promotion setting margn"),
        ({"kind": "superiority", "primary_metric": "accuracy"}, "unknown metric accuracy"),
        ({"kind": "superiority", "guard_metrics": {"f1": 0.1}}, "unknown metric f1"),
        ({"kind": "superiority", "yearly_alpha": 0.9}, "yearly_alpha"),
        ({"kind": "superiority", "margin": -0.1}, "negative"),
        ({"kind": "superiority", "margin": float("nan")}, "negative"),
        ({"kind": "superiority", "rounds_per_year": 0}, "1 or more"),
        ({"kind": "superiority", "resamples": 10}, "resamples"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_policy(table)


def test_a_policy_declared_in_code_keeps_its_numbers() -> None:
    declared = PromotionPolicy("weekly", "average_precision", 0.04, 0.02, 120, 30.0, 500, {})
    policy = from_promotion(declared, Kind.NON_INFERIORITY)
    assert (policy.primary_metric, policy.margin, policy.yearly_alpha) == (
        "average_precision",
        0.02,
        0.04,
    )
    assert (policy.min_positives, policy.champion_max_age_days, policy.resamples) == (
        120,
        30.0,
        500,
    )
