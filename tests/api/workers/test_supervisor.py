"""Real processes on one port: they are killed, stopped and outlived by nobody."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.settings import Settings
from tests.api.bundles import Signer
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.api.workers.crew import ROOT, Crew, lives
from tests.support.api_pushes import audit

pytestmark = pytest.mark.slow


def score(crew: Crew, transaction_id: str) -> httpx.Response:
    return crew.client.post("/score", json={"amount": 2.0, "transaction_id": transaction_id})


def answered(crew: Crew, name: str, rows: int) -> list[str]:
    """Ids of rows that were answered with 200."""
    ids = [f"{name}-{number}" for number in range(rows)]
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda one: score(crew, one), ids))
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    return ids


def test_workers_swap_together_and_one_that_dies_is_replaced_and_loses_nothing(
    settings: Settings, signer: Signer
) -> None:
    folder = settings.journal_dir.parent
    with Crew(folder, 2) as crew:
        # Everybody serves a push, and then a rollback; before it is answered, if there is time.
        pushed = crew.push(signer.bundle("1.0.1"), signer)
        assert pushed.status_code == 200, pushed.text
        assert pushed.json()["workers"]["total"] == 2
        wait_until(lambda: crew.served() == {"1.0.1"})
        assert {score(crew, f"a-{n}").json()["version"] for n in range(20)} == {"1.0.1"}
        assert crew.rollback().json()["version"] == "1.0.0"
        wait_until(lambda: crew.served() == {"1.0.0"})
        assert {score(crew, f"b-{n}").json()["version"] for n in range(20)} == {"1.0.0"}
        assert crew.push(signer.bundle("1.0.2"), signer).status_code == 200

        # A worker dies with decisions in its journal; its successor serves what was promoted.
        ids = answered(crew, "c", 60)
        dead = crew.kill(1)
        ids += answered(crew, "d", 60)
        assert len(ids) == 120
        wait_until(lambda: 1 in crew.states(), 30)
        assert crew.states()[1]["pid"] != dead
        wait_until(lambda: crew.served() == {"1.0.2"})
        assert crew.events("worker_died")[0]["status"] == -9
        assert crew.stop() == 0
    with Running(settings) as server:
        stored = [row["transaction_id"] for row in stored_rows(server.service.database.engine)]
    assert set(ids) <= set(stored)
    assert len(stored) == len(set(stored)) == 160
    assert [line["what"] for line in audit(settings)] == ["promotion", "rollback", "promotion"]


def light_crew(folder: Path, ending: str) -> "subprocess.Popen[str]":
    """A supervisor whose workers do nothing but wait, or end in their own way."""
    code = (
        "import sys; from pathlib import Path\n"
        "from api.settings import Settings; from api.workers.supervisor import supervise\n"
        f"settings = Settings(run_dir=Path({str(folder / 'run')!r}), api_port=0, api_workers=2)\n"
        f"sys.exit(supervise(settings, [sys.executable, '-c', {ending!r}]))\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE,
                            text=True)  # fmt: skip


WAITS = (
    "import os, signal, sys; from api.workers.worker_context import read_context\n"
    "place = read_context(sys.argv[1:]); signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "os.write(1, b'waits %d\\n' % os.getpid())\n"
    "while True: signal.pause()\n"
)


def pids_of(crew: "subprocess.Popen[str]", workers: int) -> list[int]:
    assert crew.stdout is not None
    found: list[int] = []
    while len(found) < workers:
        line = crew.stdout.readline()
        assert line, "it ended"
        # The supervisor's log may stand before it on the same line.
        if told := re.search(r"waits (\d+)", line):
            found.append(int(told[1]))
    return found


def test_told_to_stop_a_supervisor_ends_its_workers_and_ends_well(tmp_path: Path) -> None:
    with light_crew(tmp_path, WAITS) as crew:
        pids = pids_of(crew, 2)
        crew.terminate()
        assert crew.wait(20) == 0
    assert not any(map(lives, pids))


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with light_crew(tmp_path, WAITS) as crew:
        pids = pids_of(crew, 2)
        crew.kill()
    wait_until(lambda: not any(map(lives, pids)))


def test_workers_that_cannot_start_end_the_start_with_their_status(tmp_path: Path) -> None:
    with light_crew(tmp_path, "import sys; sys.exit(2)") as crew:
        output, _ = crew.communicate(timeout=20)
    assert crew.returncode == 2
    assert "workers_cannot_start" in output


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
