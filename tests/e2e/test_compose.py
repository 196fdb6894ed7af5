"""The containers, for real: build, first promotion, predict, retrain, stop cleanly."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

T = TypeVar("T")

pytestmark = pytest.mark.compose

ROOT = Path(__file__).parents[2]
API_PORT = "18080"
API = f"http://127.0.0.1:{API_PORT}"
ENVIRONMENT = os.environ | {
    "COMPOSE_PROJECT_NAME": "understudy-test",
    "API_PORT": API_PORT,
    "TORCH_INDEX": os.environ.get("TORCH_INDEX", ""),
}
# Seeding 180 days and training the first model on two busy cores
FIRST_PROMOTION_SECONDS = 420
RETRAINING_SECONDS = 300


def compose(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["docker", "compose", *arguments],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if check and done.returncode:
        pytest.fail(f"docker compose {arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def wait_for(what: str, seconds: float, probe: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found is not None:
            return found
        time.sleep(1)
    pytest.fail(f"{what}: not within {seconds} s\n{compose('logs', '--tail', '60')}")


def current_version() -> str | None:
    try:
        answer = httpx.get(f"{API}/current_model", timeout=5)
    except httpx.HTTPError:
        return None
    return str(answer.json()["version"]) if answer.status_code == 200 else None


def trigger_run() -> int:
    token = compose("exec", "api", "python", "-m", "understudy", "token", "trigger").strip()
    credentials = base64.b64encode(f"operator:{token}".encode()).decode()
    answer = httpx.post(
        f"{API}/api/mlops/trigger-retraining",
        headers={"Authorization": f"Basic {credentials}"},
        timeout=10,
    )
    assert answer.status_code == 202, answer.text
    return int(answer.json()["run_id"])


def finished_run(run_id: int) -> Mapping[str, Any] | None:
    run: dict[str, Any] = httpx.get(f"{API}/api/mlops/runs/{run_id}", timeout=5).json()
    return run if run["status"] not in {"REQUESTED", "RUNNING"} else None


def containers() -> list[dict[str, Any]]:
    identifiers = compose("ps", "--all", "--quiet").split()
    raw = subprocess.run(["docker", "inspect", *identifiers], capture_output=True, check=True)
    inspected: list[dict[str, Any]] = json.loads(raw.stdout)
    return inspected


@pytest.fixture(scope="module")
def stack() -> Iterator[None]:
    engine = shutil.which("docker")
    if (
        engine is None
        or subprocess.run([engine, "info"], capture_output=True, check=False).returncode
    ):
        if os.environ.get("CI"):
            pytest.fail("no Docker engine answers")
        pytest.skip("no Docker engine answers")
    compose("down", "--volumes", "--remove-orphans", check=False)
    try:
        compose("up", "--build", "--detach")
        yield
    finally:
        compose("down", "--volumes", "--remove-orphans", check=False)


def test_the_containers_go_through_the_whole_loop(stack: None) -> None:
    version = wait_for("a first promotion", FIRST_PROMOTION_SECONDS, current_version)

    answer = httpx.post(f"{API}/predict", json={"amount": 42.5}, timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model-Version"] == version

    run = trigger_run()
    finished = wait_for("the retraining", RETRAINING_SECONDS, lambda: finished_run(run))
    assert finished["status"] in {"SUCCEEDED", "REFUSED"}, finished

    for container in containers():
        assert container["Config"]["User"] == "10001:10001"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert container["State"]["Health"]["Status"] == "healthy"

    installed = compose("exec", "api", "pip", "list", "--format=freeze").lower()
    assert "torch" not in installed
    assert "scikit-learn" not in installed

    compose("stop", "--timeout", "20")
    assert [c["State"]["ExitCode"] for c in containers()] == [0, 0]
