"""Real processes on one port: they are killed, stopped and outlived by nobody."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.settings import Settings
from tests.api.bundles import Signer, bias_of
from tests.api.server import Running, wait_until
from tests.api.test_push import audit
from tests.api.tiny import stored_rows
from tests.api.workers.crew import ROOT, Crew


def score(crew: Crew, transaction_id: str) -> httpx.Response:
    return crew.client.post("/score", json={"amount": 2.0, "transaction_id": transaction_id})


def answered(crew: Crew, name: str, rows: int) -> list[str]:
    """Ids of rows that were answered with 200."""
    ids = [f"{name}-{number}" for number in range(rows)]
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda one: (one, score(crew, one).status_code), ids))
    return [one for one, status in answers if status == 200]


def test_workers_swap_together_and_one_that_dies_is_replaced_and_loses_nothing(
    settings: Settings, signer: Signer
) -> None:
    folder = settings.journal_dir.parent
    with Crew(folder, 2) as crew:
        # Everybody serves a push, and then a rollback, before it is answered.
        pushed = crew.push(signer.bundle("1.0.1"), signer)
        assert pushed.status_code == 200, pushed.text
        assert pushed.json()["workers"] == {"serving": 2, "total": 2, "failed": []}
        assert pushed.json()["partial"] is False
        assert {score(crew, f"a-{n}").json()["version"] for n in range(20)} == {"1.0.1"}
        rolled_back = crew.rollback()
        assert rolled_back.json()["workers"]["serving"] == 2
        assert {score(crew, f"b-{n}").json()["version"] for n in range(20)} == {"1.0.0"}
        assert crew.push(signer.bundle("1.0.2"), signer).status_code == 200

        # A worker dies with decisions in its journal; its successor serves what was promoted.
        ids = answered(crew, "c", 60)
        dead = crew.kill(1)
        ids += answered(crew, "d", 60)
        assert len(ids) == 120
        wait_until(lambda: 1 in crew.states())
        assert crew.states()[1]["pid"] != dead
        assert crew.served() == {"1.0.2"}
        assert crew.events("worker_died")[0]["status"] == -9
        assert crew.stop() == 0
    with Running(settings) as server:
        stored = [row["transaction_id"] for row in stored_rows(server.service.engine)]
    assert set(ids) <= set(stored)
    assert len(stored) == len(set(stored)) == 160
    assert [line["what"] for line in audit(settings)] == ["promotion", "rollback", "promotion"]


def test_workers_end_when_their_supervisor_is_killed(settings: Settings) -> None:
    with Crew(settings.journal_dir.parent, 1) as crew:
        assert score(crew, "t").json()["probability"] == 1.0 + bias_of("1.0.0")
        crew.kill_supervisor()
        wait_until(lambda: crew.states() == {})


@pytest.mark.parametrize("spoilt", ["API_PORT", "RUN_DIR"])
def test_what_several_workers_need_is_asked_for_before_they_start(
    settings: Settings, tmp_path: Path, spoilt: str
) -> None:
    (tmp_path / "file").write_text("no directory")
    with httpx.Client(), Running(settings) as server:
        port = server.url.rpartition(":")[2]
        environment = {"API_PORT": "0", "RUN_DIR": str(tmp_path / "run")}
        environment[spoilt] = {"API_PORT": port, "RUN_DIR": str(tmp_path / "file")}[spoilt]
        done = subprocess.run(
            [sys.executable, "-m", "api.main", "--workers", "2"], cwd=tmp_path, check=False,
            env={"PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert spoilt in done.stderr
    assert "Traceback" not in done.stderr


def test_workers_that_cannot_start_end_the_start_with_their_reason(
    settings: Settings, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.main", "--workers", "2"], cwd=tmp_path, timeout=60, check=False,
        env={"PYTHONPATH": str(ROOT), "API_PORT": "0", "DATABASE_URL": "mysql://u:pw@host/db",
             "LOG_FORMAT": "json"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "DATABASE_URL" in done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert "workers_cannot_start" in events
