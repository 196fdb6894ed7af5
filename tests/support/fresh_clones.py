"""A copy of the tree as a newcomer has it, in which commands of the documentation are followed."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.scheduler.processes import free_port
from tests.support.shipped_use_cases import copy_of_the_code

PATIENCE_SECONDS = 300


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

    @contextmanager
    def running(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """The command, until the block ends; then it is stopped as by Ctrl-C, and well."""
        with (self.tree / "run.log").open("wb") as log:
            running = subprocess.Popen(
                shlex.split(command), cwd=self.tree, env=self.environment, stdout=log, stderr=log
            )
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 0

    def wait_for_a_model(self, running: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._is_ready():
            log = (self.tree / "run.log").read_text(errors="replace")
            assert running.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def _here(self, command: str) -> str:
        return command.replace("localhost:8000", f"127.0.0.1:{self.port}")


def reader_of(folder: Path, *, only: str, **more: str) -> Reader:
    """A reader in a copy with one use case; `more` are settings."""
    tree = copy_of_the_code(folder / "tree", only=only)
    (tree / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    port = free_port()
    unset = ("VAR_DIR", "USE_CASE", "DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    own = {"PYTHONPATH": str(tree), "API_PORT": str(port), "API_URL": f"http://127.0.0.1:{port}"}
    return Reader(tree, port, {**kept, **own, **more})
