"""A candidate in the shadow may crash, hang and eat memory: no answer ever knows."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from api.rollout.shadow import RESTARTS, Shadow
from api.settings import Settings
from tests.api.bundles import Signer
from tests.api.rollout.driving import CANDIDATE, current, last, shown, try_out, update
from tests.api.rollout.faults import TRAP, crashes, eats_memory, hangs
from tests.api.server import Running, wait_until

pytestmark = pytest.mark.slow

CHAMPION = "1.0.0"
# Room for 256 rows of two features.
QUEUE_BYTES = 4 * 1024
ROWS = 20


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # On a crowded machine a process of the lowest priority may have to wait for long.
    update = {"shadow_hang_seconds": 60.0, "shadow_queue_bytes": QUEUE_BYTES}
    return settings.model_copy(update=update)


def shadow_of(server: Running) -> Shadow:
    trial = server.service.models.slot.trial
    assert isinstance(trial, Shadow)
    return trial


def pid_of(server: Running) -> int:
    wait_until(lambda: shadow_of(server).process.pid is not None)
    pid = shadow_of(server).process.pid
    assert pid is not None
    return pid


def score(server: Running, rows: int, amount: float = 1.0) -> None:
    """Every answer is the champion's and comes."""
    for number in range(rows):
        answer = server.score(amount=amount, user_id=f"u{number}")
        assert (answer.status_code, answer.json()["version"]) == (200, CHAMPION)


def scored(server: Running) -> int:
    """Rows that the shadow got through."""
    found: int = shown(server)["arms"]["candidate"]["requests"]
    return found


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def has_restarted(server: Running, times: int) -> bool:
    return shadow_of(server).counters.arms.restarts == times


def test_a_shadow_scores_the_same_rows_and_answers_none_of_them(
    serving: Running, signer: Signer
) -> None:
    assert try_out(serving, signer, "shadow").json()["rollout"] == "shadow"
    score(serving, ROWS)
    rows = [{"amount": 1.0, "user_id": f"b{number}"} for number in range(ROWS)]
    serving.client.post("/score/batch", json={"instances": rows})
    wait_until(lambda: scored(serving) == 2 * ROWS, seconds=30)
    found = shown(serving)
    champion, candidate = found["arms"]["champion"], found["arms"]["candidate"]
    assert champion["requests"] == candidate["requests"]
    # 0.5 + 0 of 1.0.0 is not above 0.5 + 1 of 1.0.1: both alert from 0.5 on.
    assert champion["alerts"] == candidate["alerts"] == 2 * ROWS
    assert champion["scores"][-1]["share"]["mean"] == 1.0
    assert candidate["scores"][-1]["share"]["mean"] == 0.0
    assert found["shadow"] == {"dropped": 0, "restarts": 0, "gave_up": None}
    os.kill(pid_of(serving), 0)


def test_a_shadow_becomes_a_canary_and_its_process_ends(serving: Running, signer: Signer) -> None:
    try_out(serving, signer, "shadow")
    pid = pid_of(serving)
    answer = update(serving, "advance")
    assert answer.json().get("rollout") == "canary", answer.text
    assert is_gone(pid)
    assert current(serving.settings).share_percent == 5
    assert shown(serving)["shadow"] is None


def test_a_shadow_that_crashes_is_started_again_a_few_times_and_then_given_up(
    serving: Running, signer: Signer
) -> None:
    try_out(serving, signer, "shadow", crashes(CANDIDATE))
    for time in range(RESTARTS + 1):
        pid = pid_of(serving)
        score(serving, 2)
        score(serving, 1, TRAP)
        wait_until(partial(is_gone, pid), seconds=30)
        wait_until(partial(has_restarted, serving, min(time + 1, RESTARTS)))
    wait_until(lambda: shown(serving)["shadow"]["gave_up"] is not None)
    found = shown(serving)
    assert found["shadow"]["restarts"] == RESTARTS
    assert f"signal {signal.SIGFPE.value}" in found["shadow"]["gave_up"]
    assert found["arms"]["candidate"]["errors"] == RESTARTS + 1
    score(serving, 3)
    assert shown(serving)["shadow"]["dropped"] == 3


def test_a_shadow_that_hangs_is_ended_and_what_it_cannot_take_is_dropped(
    settings: Settings, signer: Signer
) -> None:
    impatient = settings.model_copy(update={"shadow_hang_seconds": 1.0})
    with Running(impatient) as serving:
        hang(serving, signer)


def hang(serving: Running, signer: Signer) -> None:
    try_out(serving, signer, "shadow", hangs(CANDIDATE))
    pid = pid_of(serving)
    score(serving, 1)
    wait_until(lambda: scored(serving) == 1, seconds=30)
    score(serving, 1, TRAP)
    shadow = shadow_of(serving)
    # While it hangs, the queue fills: what has no room is dropped, and nobody waits.
    rows = [{"amount": 1.0, "user_id": f"b{number}"} for number in range(200)]
    while shadow.counters.arms.dropped == 0:
        assert serving.client.post("/score/batch", json={"instances": rows}).status_code == 200
    wait_until(lambda: is_gone(pid), seconds=30)
    # The next process goes on with what is in the queue.
    wait_until(lambda: scored(serving) > 100, seconds=30)
    assert shadow.counters.arms.restarts >= 1


def test_a_shadow_that_eats_memory_meets_its_limit(serving: Running, signer: Signer) -> None:
    try_out(serving, signer, "shadow", eats_memory(CANDIDATE))
    pid = pid_of(serving)
    score(serving, 1)
    wait_until(lambda: scored(serving) == 1, seconds=30)
    score(serving, 1, TRAP)
    wait_until(lambda: shown(serving)["arms"]["candidate"]["errors"] == 1, seconds=30)
    peak = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]
    assert int(peak) < 512 * 1024
    score(serving, 3)
    wait_until(lambda: scored(serving) == 5, seconds=30)


@pytest.mark.slow
def test_a_shadow_ends_with_its_rollout_and_with_its_service(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        try_out(server, signer, "shadow")
        first = pid_of(server)
        server.rollback("enough")
        wait_until(lambda: is_gone(first))
        assert last(server)["outcome"] == "aborted"
        server.push(signer.bundle("1.0.2"), signer, **{"X-Rollout": "shadow"})
        second = pid_of(server)
    assert is_gone(second)
