"""Every look at a rollout is kept, with both arms and each test against its limit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from scheduler.rollout.driver import RolloutDriver, RolloutRecord, stored_look
from scheduler.rollout.sequential import holm
from scheduler.rollout.stage import (
    RolloutPolicy,
    StageAction,
    StageDecision,
    judge_stage,
    limits_of,
)
from scheduler.scoring_api import StepAnswer
from shared.contracts.rollouts import (
    ArmMean,
    ArmStatistics,
    Mode,
    RolloutArms,
    RolloutRequest,
    RolloutView,
    RolloutWorkers,
)
from shared.errors import DataUnavailable
from shared.tables.rollout_looks import (
    KEPT_US,
    StoredLook,
    looked_at_versions,
    read_looks,
    write_look,
)
from tests.scheduler.fakes import SettableClock
from tests.scheduler.rollout.arms import arm, look, with_errors

BEGAN = "2026-01-01T00:00:00.000000Z"
BEGAN_US = 1_767_225_600_000_000
NOW_US = 1_767_229_200_000_000


def shown_arm(errors: int = 0) -> ArmStatistics:
    mean = ArmMean(mean=0.1, standard_error=0.01)
    return ArmStatistics(
        users=1_000,
        requests=2_000,
        errors=errors,
        alerts=200,
        groups=64,
        alert_rate=mean,
        latency_ms=mean,
        latency_p99_ms=1.0,
        scores=[],
    )


@dataclass
class TrialApi:
    """Shows one canary and takes down what it is asked for."""

    errors: int = 0
    asked: list[RolloutRequest] = field(default_factory=list)

    def rollout(self) -> RolloutView:
        return RolloutView(
            mode=Mode.CANARY,
            version="1.0.1",
            champion="1.0.0",
            share_percent=50,
            shares=[5, 10, 25, 50],
            next_share=None,
            began_at=BEGAN,
            stage_since=BEGAN,
            stage_seconds=60.0,
            begun_by="push",
            arms=RolloutArms(champion=shown_arm(), candidate=shown_arm(self.errors)),
            shadow=None,
            workers=RolloutWorkers(following=1, total=1, troubles={}),
        )

    def update_rollout(
        self, request: RolloutRequest, fencing_number: int | None = None
    ) -> StepAnswer:
        self.asked.append(request)
        return StepAnswer(200, "")


class OwnLease:
    """Always ours."""

    def take(self) -> int | None:
        return 1


def driver_of(
    api: TrialApi, folder: Path, keep: Callable[[StoredLook], None], clock: SettableClock
) -> RolloutDriver:
    return RolloutDriver(
        api=api,
        policy=RolloutPolicy(),
        record=RolloutRecord(folder),
        lease=OwnLease(),
        clock=clock,
        log=structlog.get_logger(),
        keep=keep,
    )


def test_each_look_is_a_row_also_where_nothing_changes(engine: Engine, tmp_path: Path) -> None:
    clock = SettableClock(NOW_US)
    driver = driver_of(TrialApi(), tmp_path, partial(write_look, engine), clock)
    for _ in range(3):
        driver.tick()
        clock.move(10_000_000)
    found = read_looks(engine, "1.0.1")
    assert [one.looked_at_us - NOW_US for one in found] == [0, 10_000_000, 20_000_000]
    assert {(one.step, one.code, one.began_at_us) for one in found} == {
        ("hold", "stage_young", BEGAN_US)
    }
    assert found[0].arms["candidate"]["requests"] == 2_000
    assert {one["name"] for one in found[0].tests} == {
        "errors",
        "latency",
        "scores",
        "alerts",
        "split",
    }
    assert looked_at_versions(engine) == [("1.0.1", 3, NOW_US + 20_000_000)]


def test_a_database_that_is_away_does_not_keep_a_harmful_candidate_on(tmp_path: Path) -> None:
    api = TrialApi(errors=500)

    def away(_look: StoredLook) -> None:
        assert api.asked, "the look was stored before the step was taken"
        raise DataUnavailable("away")

    driver_of(api, tmp_path, away, SettableClock(NOW_US)).tick()
    assert [one.action.value for one in api.asked] == ["abort"]


def test_looks_that_are_too_old_are_removed(engine: Engine) -> None:
    decision = judge_stage(look(), RolloutPolicy())
    for at in (NOW_US, NOW_US + KEPT_US - 1, NOW_US + KEPT_US + 1):
        write_look(engine, stored_look(decision, BEGAN_US, at))
    found = [one.looked_at_us for one in read_looks(engine, "1.0.1")]
    assert found == [NOW_US + KEPT_US - 1, NOW_US + KEPT_US + 1]


def test_the_newest_looks_are_read_in_the_order_of_time(engine: Engine) -> None:
    decision = judge_stage(look(), RolloutPolicy())
    for seconds in range(5):
        write_look(engine, stored_look(decision, BEGAN_US, NOW_US + seconds))
    assert [one.looked_at_us - NOW_US for one in read_looks(engine, "1.0.1", 2)] == [3, 4]


def test_a_rejected_test_is_marked_beside_its_limit() -> None:
    decision = judge_stage(look(candidate=with_errors(arm(), 40)), RolloutPolicy())
    first = limits_of(decision)[0]
    assert decision.step is StageAction.ROLL_BACK
    assert (first["name"], first["is_rejected"]) == ("errors", True)
    assert first["p_value"] < first["limit"] == pytest.approx(0.05 / 4 / 4)


P_VALUES = st.dictionaries(
    st.sampled_from(["errors", "latency", "scores", "alerts"]), st.floats(0, 1), min_size=1
)


@given(P_VALUES, st.floats(0, 1))
def test_what_is_marked_as_rejected_is_what_the_decision_rejects(
    p_values: dict[str, float], split: float
) -> None:
    policy = RolloutPolicy()
    decision = StageDecision(
        StageAction.HOLD, "", "", look(), policy, None, {**p_values, "split": split}
    )
    tests = {one["name"]: one for one in limits_of(decision)}
    rejected = {name for name in p_values if tests[name]["is_rejected"]}
    assert rejected == set(holm(p_values, policy.stage_alpha))
    assert tests["split"]["is_rejected"] == (split < policy.mismatch_alpha)
    assert all(tests[name]["p_value"] <= tests[name]["limit"] for name in rejected)
