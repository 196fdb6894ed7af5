"""A candidate goes through every stage of a canary, or is stopped, by the scheduler's driver."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from api.settings import Settings
from scheduler.rollout.driver import RolloutDriver
from scheduler.rollout.stage import decision_from_json, replay
from tests.api.bundles import Signer, graph
from tests.api.rollout.driving import CANDIDATE, last, shown, try_out, users
from tests.api.rollout.faults import TRAP, answers_nan
from tests.api.rollout.world import Crowd, driving, recorded
from tests.api.server import Running, wait_until

pytestmark = pytest.mark.slow

BATCH = 200
# The candidate scores as the champion does: its graph is the champion's.
ALIKE = "1.0.0"


def send(server: Running, rows: list[dict[str, object]]) -> None:
    answer = server.client.post("/score/batch", json={"instances": rows})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def driver(serving: Running, tmp_path: Path) -> Iterator[RolloutDriver]:
    with driving(tmp_path, serving.url) as driver:
        yield driver


@pytest.fixture
def serving(settings: Settings) -> Iterator[Running]:
    with Running(settings.model_copy(update={"changes_per_minute": 0})) as server:
        yield server


def test_a_healthy_canary_goes_through_all_stages_and_every_step_can_be_replayed(
    serving: Running, signer: Signer, driver: RolloutDriver, tmp_path: Path
) -> None:
    try_out(serving, signer, "canary", graph(ALIKE))
    crowd, shares = Crowd(), []
    for _ in range(60):
        rollout = shown(serving)
        if rollout is None:
            break
        shares.append(rollout["share_percent"])
        send(serving, crowd.rows(BATCH))
        driver.tick()
    assert sorted(set(shares)) == [5, 10, 25, 50]
    assert shares == sorted(shares)
    # Twenty rows of the lesser arm take two looks at least at 5 %, however healthy they are.
    assert shares.count(5) >= 2
    assert (last(serving)["outcome"], last(serving)["who"]) == ("promoted", "push")
    assert serving.score(amount=1.0).json()["version"] == CANDIDATE
    lines = recorded(tmp_path, CANDIDATE)
    steps = [line["step"] for line in lines if line["step"] != "hold"]
    assert steps == ["advance", "advance", "advance", "promote"]
    assert all(replay(line) == decision_from_json(line) for line in lines)


@pytest.mark.slow
def test_a_driver_that_is_killed_again_and_again_still_ends_the_rollout(
    serving: Running, signer: Signer, tmp_path: Path
) -> None:
    try_out(serving, signer, "canary", graph(ALIKE))
    crowd = Crowd()
    command = [sys.executable, "-m", "tests.api.rollout.driver_process", str(tmp_path), serving.url]
    for share in (5, 10, 100):
        with subprocess.Popen(command) as process:
            try:
                wait_until(partial(moved_on, serving, crowd, share), seconds=60)
            finally:
                process.kill()
    assert last(serving)["outcome"] == "promoted"


def moved_on(server: Running, crowd: Crowd, share: int) -> bool:
    """Whether the rollout is beyond this share, with some more traffic."""
    rollout = shown(server)
    if rollout is None:
        return True
    send(server, crowd.rows(BATCH))
    return bool(rollout["share_percent"] > share)


def test_a_canary_that_fails_rows_is_rolled_back_and_cost_nobody_an_answer(
    serving: Running, signer: Signer, driver: RolloutDriver, tmp_path: Path
) -> None:
    try_out(serving, signer, "canary", answers_nan(ALIKE))
    crowd = Crowd()
    looks = 0
    while shown(serving) is not None:
        looks += 1
        send(serving, crowd.rows(BATCH // 2) + crowd.rows(BATCH // 2, TRAP))
        driver.tick()
    assert looks <= 5
    assert last(serving)["reason"].startswith("worse_errors")
    assert recorded(tmp_path, CANDIDATE)[-1]["code"] == "worse_errors"


def test_a_split_that_is_not_what_was_asked_for_stops_the_rollout(
    serving: Running, signer: Signer, driver: RolloutDriver, tmp_path: Path
) -> None:
    try_out(serving, signer, "canary", graph(ALIKE))
    # Somebody in front sends most of the canary's users elsewhere.
    crowd = users(serving.settings, 900, inside=False) + users(serving.settings, 4, inside=True)
    send(serving, [{"amount": 1.0, "user_id": name} for name in crowd])
    driver.tick()
    assert last(serving)["outcome"] == "aborted"
    assert last(serving)["reason"].startswith("sample_ratio_mismatch")


def test_a_shadow_is_promoted_or_ended_by_what_it_scored_beside_the_champion(
    serving: Running, signer: Signer, driver: RolloutDriver, tmp_path: Path
) -> None:
    crowd = Crowd()
    # 1.0.1 as it is made scores everything 1 higher than 1.0.0; 1.0.2 is 1.0.0 again.
    for version, files, outcome in (
        ("1.0.1", None, "aborted"),
        ("1.0.2", {"model.onnx": graph(ALIKE)}, "promoted"),
    ):
        raw = signer.bundle(version, files)
        serving.push(raw, signer, **{"X-Rollout": "shadow"})
        driver.tick()
        assert recorded(tmp_path, version)[-1]["code"] == "too_little_traffic"
        send(serving, crowd.rows(BATCH))
        wait_until(lambda: shown(serving)["arms"]["candidate"]["requests"] == BATCH, seconds=30)
        driver.tick()
        assert (last(serving)["version"], last(serving)["outcome"]) == (version, outcome)
