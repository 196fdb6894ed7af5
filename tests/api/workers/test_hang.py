"""Workers that do not die and do not answer: stopped by a signal, or inside a model's loop."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from api.settings import Settings
from api.workers.worker_context import HeartbeatMonitor
from tests.api.bundles import Signer
from tests.api.rollout.faults import TRAP, hangs
from tests.api.server import wait_until
from tests.api.workers.crew import Crew, lives
from tests.support.api_workers import user_of

pytestmark = pytest.mark.slow


@pytest.fixture
def crew(settings: Settings, tmp_path: Path) -> Iterator[Crew]:
    with Crew(tmp_path, 2, WORKER_HANG_SECONDS="4") as crew:
        yield crew


def all_serve(crew: Crew) -> bool:
    return len(crew.states()) == 2


def test_a_worker_that_stands_still_is_ended_and_another_takes_its_place(crew: Crew) -> None:
    still = crew.states()[1]["pid"]
    row = {"amount": 1.0, "user_id": user_of(1), "transaction_id": "first"}
    # It answers, so it is not starting any more.
    assert crew.client.post("/score", json=row).status_code == 200
    os.kill(still, signal.SIGSTOP)
    # A row of a user it owns is not answered by another: it waits for the successor.
    row["transaction_id"] = "waits"
    assert crew.client.post("/score", json=row).status_code == 200
    assert not lives(still)
    wait_until(lambda: not lives(still), 20)
    wait_until(lambda: all_serve(crew), 30)
    (told,) = crew.events("worker_hangs")
    assert (told["worker"], told["pid"]) == (1, still)
    assert crew.events("worker_died")[0]["status"] == -signal.SIGKILL
    series = 'understudy_worker_hangs_total{worker="1"} 1.0'
    wait_until(lambda: series in crew.client.get("/metrics").text)
    assert 'understudy_worker_hangs_total{worker="0"} 0.0' in crew.client.get("/metrics").text
    assert crew.stop() == 0


def test_a_worker_inside_a_model_that_does_not_return_is_ended_and_says_where_it_was(
    crew: Crew, signer: Signer
) -> None:
    raw = signer.bundle("1.0.1", {"model.onnx": hangs("1.0.1")})
    assert crew.push(raw, signer).status_code == 200
    pids = {number: told["pid"] for number, told in crew.states().items()}
    # Its connection is lost with it, unless another worker accepted the row and says so.
    with suppress(httpx.HTTPError):
        answer = crew.client.post("/score", json={"amount": TRAP})
        assert answer.json()["type"] == "urn:understudy:problem:worker-unavailable"
    wait_until(lambda: bool(crew.events("worker_died")), 20)
    (hung,) = crew.events("worker_hangs")
    assert hung["pid"] == pids[hung["worker"]]
    wait_until(lambda: all_serve(crew), 30)
    assert crew.client.post("/score", json={"amount": 1.0}).status_code == 200
    # What the interpreter was doing, frame by frame.
    assert "in score" in crew.log.read_text()


def test_who_has_never_beaten_is_starting_and_not_hanging() -> None:
    listening = HeartbeatMonitor(hang_seconds=2.0)
    assert not any(listening.hangs(1.0) for _ in range(100))
    os.write(listening.descriptor, b".")
    assert [listening.hangs(1.0) for _ in range(4)] == [False, False, False, True]
    # The next process starts afresh, whatever the last one left in the pipe.
    os.write(listening.descriptor, b".")
    listening.begin()
    assert not any(listening.hangs(1.0) for _ in range(100))
    listening.close()


def test_nobody_hangs_when_nobody_wants_to_know() -> None:
    listening = HeartbeatMonitor(hang_seconds=0)
    os.write(listening.descriptor, b".")
    assert not any(listening.hangs(60.0) for _ in range(100))
    listening.close()
