"""Schedulers as real processes around the tiny use case, with short leases."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from shared.keys.tokens import Role, ensure_tokens
from shared.tables.runs import Run, list_runs

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 60


class Api(Protocol):
    """Whoever answers at an address."""

    @property
    def url(self) -> str: ...


@dataclass
class SchedulerProcess:
    """A running scheduler with its database, its log and the API it talks to."""

    process: subprocess.Popen[bytes]
    engine: Engine
    log_path: Path

    def events(self) -> list[str]:
        # whoever is killed may leave half a line
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line)["event"] for line in lines if line.endswith("}")]

    def wait_for(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < deadline, self.log_path.read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut would; its child is not asked either."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


def start(
    folder: Path, engine: Engine, api: Api, name: str = "scheduler", **extra: str
) -> SchedulerProcess:
    """Start one; several in one folder share their work, as they would share a disk."""
    log_path = folder / f"{name}.log"
    ensure_tokens(folder / "keys", (Role.PUSH,))
    environment = {
        **os.environ,
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "API_URL": api.url,
        "KEYS_DIR": str(folder / "keys"),
        "RETRAINED_MODELS_DIR": str(folder / "retrained_models"),
        "TEST_DATA_DIR": str(folder / "test_data"),
        "HEARTBEAT_FILE": str(folder / f"{name}.beat"),
        "LOG_FORMAT": "json",
        "CONFIG_POLL_SECONDS": "0.2",
        "CLAIM_POLL_SECONDS": "0.2",
        "LEASE_SECONDS": "2",
        "RETRY_PAUSE_SECONDS": "0.1",
        "DRIFT_INTERVAL": "off",
        "RUN_PROCESS_READY": "false",
        "SHUTDOWN_GRACE_SECONDS": "4",
        "WORK_DIR": str(folder / "work"),
        "MARKS": str(folder / "marks"),
        **extra,
    }
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.scheduler.tiny_process"],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return SchedulerProcess(process, engine, log_path)


def latest(engine: Engine) -> Run:
    return list_runs(engine)[0]


def marks(folder: Path) -> list[str]:
    """What was computed, in order."""
    path = folder / "marks"
    return path.read_text().split() if path.exists() else []


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
