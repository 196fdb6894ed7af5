"""Which step a look allows."""

import json
from dataclasses import replace
from typing import Any

import pytest

from scheduler.rollout.look import Arm, Look
from scheduler.rollout.stage import (
    RolloutPolicy,
    StageAction,
    StageDecision,
    decision_from_json,
    decision_to_json,
    judge_stage,
    replay,
)
from tests.scheduler.rollout.arms import LATENCY_MS, RATE, ROWS, arm, look, share, with_errors

POLICY = RolloutPolicy()


def judged(seen: Look) -> StageDecision:
    return judge_stage(seen, POLICY)


def test_equal_arms_advance_to_the_next_share_and_are_promoted_after_the_last() -> None:
    decision = judged(look(share_percent=50, next_share=50))
    assert (decision.step, decision.share_percent) == (StageAction.ADVANCE, 50)
    assert judged(look()).step is StageAction.PROMOTE
    # The champion's part of a shadow is the same rows: nothing is split there.
    assert judged(look(mode="shadow", share_percent=0, next_share=5)).step is StageAction.PROMOTE


def test_a_young_stage_waits_whatever_its_traffic() -> None:
    decision = judged(look(stage_seconds=60.0))
    assert (decision.step, decision.code) == (StageAction.HOLD, "stage_young")


def test_too_little_traffic_extends_a_stage_and_never_passes_it() -> None:
    few = arm(rows=999, users=ROWS // 2)
    for hours in (1, 100, 10_000):
        for seen in (look(candidate=few), look(champion=few)):
            decision = judged(replace(seen, stage_seconds=hours * 3_600.0))
            assert (decision.step, decision.code) == (StageAction.HOLD, "too_little_traffic")


HARMS: dict[str, dict[str, Any]] = {
    "worse_errors": {"candidate": with_errors(arm(), 40)},
    "worse_latency": {"candidate": arm(latency_ms=3 * LATENCY_MS)},
    "worse_alerts": {"candidate": arm(rate=3 * RATE)},
    "worse_scores": {"candidate": arm(below=tuple(share(0.9, ROWS) for _ in range(10)))},
    "sample_ratio_mismatch": {"candidate": arm(users=700)},
    "shadow_gave_up": {"gave_up": "it crashed", "mode": "shadow"},
}


@pytest.mark.parametrize("code", HARMS)
def test_harm_rolls_back_at_once_and_names_itself(code: str) -> None:
    decision = judged(look(stage_seconds=30.0, **HARMS[code]))
    assert (decision.step, decision.code) == (StageAction.ROLL_BACK, code)
    assert decision.reason


def test_fewer_alerts_than_the_champion_are_harm_as_well() -> None:
    assert judged(look(candidate=arm(rate=0.0))).code == "worse_alerts"


def test_a_candidate_that_is_better_is_no_harm() -> None:
    better = arm(latency_ms=LATENCY_MS / 4)
    assert (
        judged(look(candidate=better, champion=with_errors(arm(), 100))).step is StageAction.PROMOTE
    )


def test_what_is_tolerated_is_no_harm_however_much_traffic_proves_it() -> None:
    many = 10_000_000
    slightly = arm(many, rate=RATE * 1.2, latency_ms=LATENCY_MS * 1.4)
    assert judged(look(candidate=slightly, champion=arm(many))).step is StageAction.PROMOTE


def test_a_few_users_say_nothing_of_the_spread_between_users() -> None:
    one_user = arm(rate=1.0, latency_ms=100.0, groups=1)
    assert judged(look(candidate=one_user)).step is StageAction.PROMOTE


def test_missing_figures_say_nothing() -> None:
    silent = Arm(0, 0, 0, 0, alert_rate=None, latency_ms=None, below=())
    assert judged(look(candidate=silent, champion=silent)).code == "too_little_traffic"


@pytest.mark.parametrize("seen", [look(), look(stage_seconds=1.0), look(**HARMS["worse_errors"])])
def test_a_decision_is_stored_with_all_it_rests_on_and_can_be_repeated(seen: Look) -> None:
    decision = judged(seen)
    stored = json.loads(json.dumps(decision_to_json(decision), allow_nan=False))
    assert decision_from_json(stored) == decision
    assert replay(stored) == decision
