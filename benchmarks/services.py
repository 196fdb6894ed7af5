"""Both services as real processes on a separate folder, for benchmarks and tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import httpx
from sqlalchemy import Engine

from shared.tables.engine import connect, migrate
from shared.tables.runs import Run, RunStatus, list_runs

REPOSITORY = Path(__file__).parents[1]
POLL_SECONDS = 0.05
FINAL = frozenset(RunStatus) - {RunStatus.REQUESTED, RunStatus.RUNNING}
Found = TypeVar("Found")


class Services:
    """An API and a scheduler that share one SQLite database below `folder`."""

    def __init__(self, folder: Path, wrapper: Sequence[str] = (), **settings: str) -> None:
        """`wrapper` is a command that runs a command, like strace or faketime."""
        self.folder = folder
        self._wrapper = tuple(wrapper)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, **_settings(folder, self.port, self.url), **settings}
        self.engine: Engine = connect(self.environment["DATABASE_URL"])
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Services":
        migrate(self.engine)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        self.engine.dispose()

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start `api` or `scheduler`; its log is `folder/SERVICE.log`."""
        with (self.folder / f"{service}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._wrapper, sys.executable, "-m", f"{service}.main"],
                cwd=REPOSITORY,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes[service] = process
        return process

    def start_api(self) -> None:
        """Start the API and wait until it answers."""
        self.start("api")
        # compiling comes first where nothing is compiled yet: twenty seconds of a processor, and a
        # machine that does much else gives few of them
        self.wait_for(lambda: self._is_alive() or None, timeout_seconds=900)

    def pid(self, service: str) -> int:
        return self._processes[service].pid

    def stop(self, service: str) -> int:
        """SIGTERM; the exit status, which has to come within ten seconds."""
        process = self._processes[service]
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=10)

    def wait_for_end(self, service: str) -> int:
        """The exit status of a process that was killed elsewhere."""
        return self._processes[service].wait(timeout=10)

    def wait_for_run(self, run_id: int | None = None, timeout_seconds: float = 600) -> Run:
        """The run with this number, or the first one there is, once it is over."""

        def over() -> Run | None:
            runs = list_runs(self.engine, 500)
            found = [run for run in runs if run_id in {None, run.run_id} and run.status in FINAL]
            return found[-1] if found else None

        return self.wait_for(over, timeout_seconds)

    def wait_for(self, look: Callable[[], Found | None], timeout_seconds: float) -> Found:
        """The result of `look`, as soon as there is one.

        Raises:
            RuntimeError: a service died or time ran out; carries the ends of both logs.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            found = look()
            if found is not None:
                return found
            died = [name for name, process in self._processes.items() if process.poll() is not None]
            if died or time.monotonic() > deadline:
                raise RuntimeError(f"{died or 'nothing'} died\n{self.log_ends()}")
            time.sleep(POLL_SECONDS)

    def log_events(self, service: str) -> list[dict[str, object]]:
        """The log of a service, line by line."""
        lines = (self.folder / f"{service}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def log_ends(self) -> str:
        logs = [self.folder / f"{name}.log" for name in self._processes]
        return "\n".join(f"--- {path.name}\n{path.read_text()[-4_000:]}" for path in logs)

    def _is_alive(self) -> bool:
        try:
            return httpx.get(f"{self.url}/livez", timeout=2).is_success
        except httpx.HTTPError:
            return False


def _settings(folder: Path, port: int, url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{folder / 'understudy.db'}",
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "API_URL": url,
        "KEYS_DIR": str(folder / "keys"),
        "JOURNAL_DIR": str(folder / "journal"),
        "RUN_DIR": str(folder / "run"),
        "PROD_MODELS_DIR": str(folder / "prod_models"),
        "RETRAINED_MODELS_DIR": str(folder / "retrained_models"),
        "TEST_DATA_DIR": str(folder / "test_data"),
        "WORK_DIR": str(folder / "work"),
        "HEARTBEAT_FILE": str(folder / "scheduler.heartbeat"),
        "LOG_FORMAT": "json",
    }


def children_of(parent: int) -> list[int]:
    """Processes that this one has started and that still run, from the kernel's list."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
