"""Graphs that end the process: a division that the processor refuses, on one amount."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.models.crashes import Crashes, CrashLimits
from api.settings import Settings
from shared.clock import SystemClock
from shared.keys.tokens import Role, read_token
from tests.api.bundles import Signer, install
from tests.api.rollout.driving import users
from tests.api.rollout.faults import TRAP, crashes
from tests.api.server import Running, wait_until
from tests.api.workers.crew import Crew, lives
from tests.support.api_processes import start
from tests.support.api_pushes import audit

pytestmark = pytest.mark.slow

CHAMPION, CANDIDATE = "1.0.0", "1.0.1"
LIMITS = CrashLimits(crashes=3, window_seconds=600)


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.journal_dir.parent


@contextmanager
def process(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", httpx.Client]]:
    """One server of its own, as `restart: unless-stopped` would start it again."""
    child, url = start(folder)
    try:
        with httpx.Client(base_url=url, timeout=10) as client:
            yield child, client
    finally:
        child.kill()
        child.wait(10)
        if child.stdout is not None:
            child.stdout.close()


def push(client: httpx.Client, folder: Path, signer: Signer, **headers: str) -> None:
    raw = signer.bundle(CANDIDATE, {"model.onnx": crashes(CANDIDATE)})
    said = {
        "Authorization": f"Bearer {read_token(folder / 'keys', Role.PUSH)}",
        "Content-Type": "application/octet-stream",
        "X-Bundle-Signature": signer.sign(raw),
    }
    answer = client.post("/update_model", content=raw, headers=said | headers)
    assert answer.status_code == 200, answer.text


def dies(child: "subprocess.Popen[str]", client: httpx.Client, **body: Any) -> int:
    """The status a server ends with when it is asked this."""
    with pytest.raises(httpx.TransportError):
        client.post("/score", json={"amount": TRAP, **body})
    return child.wait(10)


def version_for(client: httpx.Client, **body: Any) -> str:
    return str(client.post("/score", json={"amount": TRAP, **body}).json()["version"])


def test_a_candidate_that_ends_the_process_is_not_tried_again(
    settings: Settings, signer: Signer, folder: Path
) -> None:
    with process(folder) as (child, client):
        push(client, folder, signer, **{"X-Rollout": "canary"})
        user = users(settings, 1, inside=True)[0]
        assert dies(child, client, user_id=user) == -signal.SIGFPE
    with process(folder) as (_, client):
        ended = client.get("/current_model").json()["last_rollout"]
        assert (ended["version"], ended["outcome"], ended["who"]) == (CANDIDATE, "aborted", "crash")
        assert ended["reason"].startswith("candidate_crashed")
        assert version_for(client, user_id=user) == CHAMPION
        assert "understudy_model_crashes 1.0" in client.get("/metrics").text
    assert audit(settings)[-1]["what"] == "rollout-ended"


def test_a_version_in_service_that_ends_the_process_three_times_is_left(
    settings: Settings, signer: Signer, folder: Path
) -> None:
    with process(folder) as (child, client):
        push(client, folder, signer)
        assert dies(child, client) == -signal.SIGFPE
    for _ in range(2):
        with process(folder) as (child, client):
            assert client.get("/current_model").json()["version"] == CANDIDATE
            assert dies(child, client) == -signal.SIGFPE
    with process(folder) as (_, client):
        assert version_for(client) == CHAMPION
        states = {one["version"]: one["state"] for one in client.get("/models").json()["models"]}
        assert states == {CHAMPION: "serving", CANDIDATE: "rolled-back"}
    line = audit(settings)[-1]
    assert (line["what"], line["version"], line["previous"]) == ("crash", CHAMPION, CANDIDATE)


def test_a_process_that_is_killed_while_it_waits_blames_nobody(
    settings: Settings, signer: Signer, folder: Path
) -> None:
    with process(folder) as (child, client):
        push(client, folder, signer, **{"X-Rollout": "canary"})
        user = users(settings, 1, inside=True)[0]
        assert client.post("/score", json={"amount": 1.0, "user_id": user}).status_code == 200
        child.kill()
        assert child.wait(10) == -signal.SIGKILL
    with process(folder) as (_, client):
        assert client.get("/current_model").json()["rollout"]["version"] == CANDIDATE


def test_with_workers_the_successor_ends_the_trial_for_all(
    settings: Settings, signer: Signer, folder: Path
) -> None:
    with Crew(folder, 2) as crew:
        push(crew.client, folder, signer, **{"X-Rollout": "canary"})
        user = users(settings, 1, inside=True)[0]
        # the worker that accepted the row dies, or the one that owns its user, for which it answers
        with suppress(httpx.TransportError):
            answer = crew.client.post("/score", json={"amount": TRAP, "user_id": user})
            assert answer.status_code == 503
        wait_until(lambda: bool(crew.events("rollout_aborted")), 30)
        assert crew.events("worker_died")[0]["status"] == -signal.SIGFPE
        wait_until(lambda: len(crew.states()) == 2 and nobody_tries(folder), 30)
        assert {version_for(crew.client, user_id=user) for _ in range(6)} == {CHAMPION}
        assert len(crew.events("worker_died")) == 1


def test_a_version_without_a_predecessor_is_kept_and_serves_what_it_can(
    settings: Settings, signer: Signer, folder: Path
) -> None:
    for _ in range(LIMITS.crashes):
        die_inside(settings, CHAMPION)
    with Running(settings) as server:
        assert server.score(amount=1.0).json()["version"] == CHAMPION


def test_deaths_of_long_ago_and_of_workers_that_are_gone(settings: Settings) -> None:
    ours = Crashes(settings.prod_models_dir, 0, 1, LIMITS, SystemClock())
    die_inside(settings, CANDIDATE, worker=7)
    assert ours.open() == {CANDIDATE}
    assert (ours.recent(), ours.recent(CHAMPION), ours.is_too_many(CANDIDATE)) == (1, 0, False)
    ours.close()
    hurried = CrashLimits(crashes=1, window_seconds=1e-6)
    later = Crashes(settings.prod_models_dir, 0, 1, hurried, SystemClock())
    assert later.open() == set()
    assert not later.is_too_many(CANDIDATE)
    later.close()


def test_a_registry_that_takes_no_files_costs_the_memory_and_not_the_service(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, CANDIDATE)
    (settings.prod_models_dir / "crashes").write_text("a file where the folder should be")
    with Running(settings) as server:
        assert server.score(amount=1.0).json()["version"] == CANDIDATE


def test_the_first_process_on_a_new_registry_remembers_crashes(settings: Settings) -> None:
    first = Crashes(settings.prod_models_dir / "not" / "there" / "yet", 0, 1, LIMITS, SystemClock())
    assert first.open() == set()
    path = settings.prod_models_dir / "not" / "there" / "yet" / "crashes" / "worker-0"
    assert path.stat().st_size == 128
    first.close()


@pytest.mark.parametrize("stranger", ["worker-0.bak", "worker-7²", "worker-8/"])
def test_what_a_stranger_left_among_the_crashes_does_not_stop_the_start(
    settings: Settings, stranger: str
) -> None:
    folder = settings.prod_models_dir / "crashes"
    folder.mkdir()
    path = folder / stranger.rstrip("/")
    path.mkdir() if stranger.endswith("/") else path.write_text("mine")
    die_inside(settings, CANDIDATE)
    assert path.exists()


def nobody_tries(folder: Path) -> bool:
    """Whether no worker that lives has a candidate any more."""
    told = [json.loads(path.read_bytes()) for path in (folder / "run").glob("rollout-*.json")]
    return not any(one["stage"] and lives(one["pid"]) for one in told)


def die_inside(settings: Settings, version: str, worker: int = 0) -> None:
    """What a process leaves that died while this version scored."""
    path = settings.prod_models_dir / "crashes" / f"worker-{worker}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(version.encode().ljust(64, b"\0") + bytes(64))
    if worker == 0:
        found = Crashes(settings.prod_models_dir, 0, 1, LIMITS, SystemClock())
        assert found.open() == {version}
        found.close()
        assert os.path.getsize(path) == 128  # noqa: PTH202 - nobody is inside now
