"""The containers, for real: build, first promotion, predict, retrain, stop cleanly."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from tests.support.compose import ComposeStack, require_engine
from tests.support.pages import ROOT, commands_of

pytestmark = pytest.mark.compose

API_PORT = os.environ.get("API_PORT", "18080")
API = f"http://127.0.0.1:{API_PORT}"
STACK = ComposeStack(
    "docker-compose.yml",
    {
        "COMPOSE_PROJECT_NAME": os.environ.get("COMPOSE_PROJECT_NAME", "understudy-test"),
        "API_PORT": API_PORT,
        "CONSOLE_PORT": os.environ.get("CONSOLE_PORT", "18081"),
        "TORCH_INDEX": os.environ.get("TORCH_INDEX", ""),
    },
)
compose, wait_for = STACK.run, STACK.wait_for
# Seeding 180 days and training the first model on two cores that others use as well
FIRST_PROMOTION_SECONDS = 900
RETRAINING_SECONDS = 600


def current_version() -> str | None:
    try:
        answer = httpx.get(f"{API}/current_model", timeout=5)
    except httpx.HTTPError:
        return None
    return str(answer.json()["version"]) if answer.status_code == 200 else None


def trigger_run() -> int:
    token = compose("exec", "api", "python", "-m", "understudy", "token", "operator").strip()
    answer = httpx.post(
        f"{API}/api/mlops/force-retraining",
        json={"reason": "the first model is a minute old"},
        headers={"Authorization": f"Bearer {token}"},
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
    require_engine()
    compose("down", "--volumes", "--remove-orphans", check=False)
    try:
        compose("up", "--build", "--detach")
        yield
    finally:
        compose("down", "--volumes", "--remove-orphans", check=False)


STATUS = {" drift": {0, 1, 3}, "retrain --wait": {0, 3}}
"""Commands that say something by their exit status (docs/operations/commands.md)."""


def type_in(text: str, folder: Path = ROOT, more: Mapping[str, str] = MappingProxyType({})) -> str:
    """A command as a page shows it, typed where docker-compose.yml is."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder, env={**os.environ, **STACK.environment, **more}, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    expected = next((status for end, status in STATUS.items() if text.endswith(end)), {0})
    assert done.returncode in expected, f"{text}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def test_every_command_that_pages_show_for_containers_works_in_them(
    stack: None, tmp_path: Path
) -> None:
    wait_for("a first promotion", FIRST_PROMOTION_SECONDS, current_version)
    for command in commands_of("docs/operations/commands.md"):
        type_in(command.text)
    own, backup, stop, restore = commands_of("docs/operations/backup.md")[-4:]
    type_in(own.text, tmp_path)
    kept = {"BACKUPS_DIR": str(tmp_path / "backups")}
    type_in(backup.text, more=kept)
    type_in(stop.text)
    # what a restore is for: everything is lost
    compose("down", "--volumes")
    [archive] = (tmp_path / "backups").glob("*.backup")
    type_in(restore.text.replace("NAME.backup", archive.name), more=kept)
    *_, workers = commands_of("docs/operations/serving.md")[:3]
    type_in(workers.text)
    wait_for("the restored version", FIRST_PROMOTION_SECONDS, current_version)
    compose("up", "--detach")


def test_a_command_that_needs_the_other_container_says_so_in_one_line(stack: None) -> None:
    for service, *arguments in (
        ("api", "replay", "--from", "2026-01-01", "--to", "2026-02-01"),
        ("api", "drift"),
    ):
        asked = ["docker", "compose", "exec", "-T", service, "understudy", *arguments]
        done = subprocess.run(
            asked,
            cwd=ROOT,
            env={**os.environ, **STACK.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "in a container, run it in the other service's" in done.stderr


def test_the_containers_go_through_the_whole_loop(stack: None) -> None:
    version = wait_for("a first promotion", FIRST_PROMOTION_SECONDS, current_version)

    answer = httpx.post(f"{API}/predict", json={"amount": 42.5}, timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model-Version"] == version

    run = trigger_run()
    finished = wait_for("the retraining", RETRAINING_SECONDS, lambda: finished_run(run))
    # the scheduler may find the champion too young to be replaced, and say so before training
    assert finished["status"] in {"SUCCEEDED", "REFUSED", "SKIPPED"}, finished

    for container in containers():
        assert container["Config"]["User"] == "10001:10001"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert container["State"]["Health"]["Status"] == "healthy"

    installed = compose("exec", "api", "pip", "list", "--format=freeze").lower()
    assert "torch" not in installed
    assert "scikit-learn" not in installed

    compose("stop", "--timeout", "20")
    assert {c["State"]["ExitCode"] for c in containers()} == {0}
