"""usecases/README.md, done as it says, in a copy of the tree."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import usecases
from shared.tasks import TaskKind
from tests.scheduler.processes import free_port
from tests.support.shipped_use_cases import ROOT, copy_of_the_code, shipped_names

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
PATIENCE_SECONDS = 300


def test_the_table_names_every_use_case_that_ships_with_its_task() -> None:
    told = re.findall(r"^\| \[(\w+)\]\([\w/.]+\) \| (\w+)", PAGE, re.MULTILINE)
    shipped = {name: usecases.load_learning(name).task.kind for name in shipped_names()}
    assert {name: TaskKind(kind) for name, kind in told} == shipped


@dataclass
class Reader:
    """Who follows the page, in a folder that looks like a fresh clone."""

    tree: Path
    port: int
    environment: dict[str, str]

    def do(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", self._here(command)],
            cwd=self.tree, env=self.environment, capture_output=True, text=True,
            timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, command: str) -> subprocess.Popen[bytes]:
        with (self.tree / "run.log").open("wb") as log:
            return subprocess.Popen(
                shlex.split(command), cwd=self.tree, env=self.environment, stdout=log, stderr=log
            )

    def wait_for_a_model(self, running: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._is_ready():
            log = (self.tree / "run.log").read_text(errors="replace")
            assert running.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.5)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def _here(self, command: str) -> str:
        return command.replace("localhost:8000", f"127.0.0.1:{self.port}")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    tree = copy_of_the_code(tmp_path / "tree", only="deliveries")
    (tree / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    port = free_port()
    unset = ("VAR_DIR", "USE_CASE", "DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    more = {"PYTHONPATH": str(tree), "API_PORT": str(port), "API_URL": f"http://127.0.0.1:{port}"}
    return Reader(tree, port, {**kept, **more})


@pytest.mark.slow
def test_the_page_leads_from_a_file_to_a_prediction_and_a_label(reader: Reader) -> None:
    generate, new, run, predict, tell, feedback, again = COMMANDS
    reader.do(generate)
    reader.do(new)
    written = reader.tree / "usecases" / "parcels"
    assert {path.name for path in written.iterdir()} == {"usecase.toml", "examples.json"}
    running = reader.start(run)
    try:
        reader.wait_for_a_model(running)
        assert '"prediction":' in reader.do(predict)
        assert reader.do(tell).startswith(("stored", "kept"))
        assert '"unknown":[]' in reader.do(feedback)
        assert "there already" in reader.do(again)
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    assert (reader.tree / "var" / "parcels" / "understudy.db").is_file()
