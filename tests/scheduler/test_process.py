"""The scheduler as a process: it learns when asked, follows SQL, and stops when told."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.clock import SystemClock
from shared.keys.tokens import Role, ensure_tokens, token_path
from shared.tables.config import read_retraining_config
from shared.tables.runs import Run, RunStatus, list_runs, request_run
from tests.scheduler.standin_api import StandInApi, standin_api

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 60


@dataclass
class SchedulerProcess:
    """A running scheduler with its database, its log and the API it talks to."""

    process: subprocess.Popen[bytes]
    engine: Engine
    api: StandInApi
    log_path: Path

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log_path.read_text().splitlines()]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < deadline, self.log_path.read_text()
            time.sleep(0.1)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


def start(folder: Path, engine: Engine, api: StandInApi, **extra: str) -> SchedulerProcess:
    log_path = folder / "scheduler.log"
    ensure_tokens(folder / "keys", (Role.PUSH,))
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder / 'understudy.db'}",
        "API_URL": api.url,
        "KEYS_DIR": str(folder / "keys"),
        "RETRAINED_MODELS_DIR": str(folder / "retrained_models"),
        "TEST_DATA_DIR": str(folder / "test_data"),
        "HEARTBEAT_FILE": str(folder / "beat"),
        "LOG_FORMAT": "json",
        "CONFIG_POLL_SECONDS": "0.2",
        "CLAIM_POLL_SECONDS": "0.2",
        "SHUTDOWN_GRACE_SECONDS": "4",
        "WORK_DIR": str(folder / "work"),
        "MARKS": str(folder / "marks"),
        **extra,
    }
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.scheduler.tiny_process"],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return SchedulerProcess(process, engine, api, log_path)


Launch = Callable[..., SchedulerProcess]


@pytest.fixture
def api() -> Iterator[StandInApi]:
    with standin_api() as server:
        yield server


@pytest.fixture
def launch(tmp_path: Path, engine: Engine, api: StandInApi) -> Iterator[Launch]:
    started: list[SchedulerProcess] = []

    def go(**extra: str) -> SchedulerProcess:
        started.append(start(tmp_path, engine, api, **extra))
        return started[-1]

    yield go
    for scheduler in started:
        if scheduler.process.poll() is None:
            scheduler.process.kill()
            scheduler.process.wait()


def latest(engine: Engine) -> Run:
    return list_runs(engine)[0]


def test_a_scheduler_asks_for_a_first_model_follows_sql_and_stops_cleanly(
    launch: Launch, engine: Engine, tmp_path: Path
) -> None:
    scheduler = launch()
    # the stand-in refuses every push, so the first run fails at the door and says so
    scheduler.wait_for(lambda: "run_ended" in scheduler.events())
    assert (latest(engine).requested_by, latest(engine).code) == ("first_model", "push_refused")

    run_id = request_run(engine, "retraining", SystemClock().now_us(), "operator")
    scheduler.wait_for(lambda: latest(engine).status is RunStatus.FAILED)
    assert latest(engine).run_id == run_id

    with engine.begin() as connection:
        connection.execute(text("UPDATE RetrainingConfig SET IsEnabled = 0 WHERE ConfigId = 1"))
    scheduler.wait_for(lambda: read_retraining_config(engine).next_run is None)
    assert read_retraining_config(engine).last_run is not None
    assert (tmp_path / "beat").exists()

    assert scheduler.stop() == 0
    assert scheduler.events()[-1] == "scheduler_stopped"
    assert "tick_broke" not in scheduler.events()
    entries = [json.loads(line) for line in scheduler.log_path.read_text().splitlines()]
    assert {entry["service"] for entry in entries} == {"scheduler"}


def test_a_run_that_cannot_be_interrupted_does_not_hold_up_the_exit_and_goes_on_later(
    launch: Launch, engine: Engine
) -> None:
    scheduler = launch(TRAINING="hangs")
    scheduler.wait_for(lambda: scheduler.events().count("step") >= 6)

    assert scheduler.stop() == 0
    assert scheduler.events()[-1] == "scheduler_stopped"
    left = latest(engine)
    assert (left.status, left.code) == (RunStatus.REQUESTED, "interrupted")
    assert (left.lease_owner, left.attempts) == (None, 0)


def test_a_scheduler_that_starts_before_the_api_waits_for_its_token(
    launch: Launch, tmp_path: Path
) -> None:
    scheduler = launch(KEYS_DIR=str(tmp_path / "later"))
    scheduler.wait_for(lambda: "push_token_unavailable" in scheduler.events())
    ensure_tokens(tmp_path / "later", (Role.PUSH,))
    token_path(tmp_path / "later", Role.PUSH).parent.chmod(0o500)
    scheduler.wait_for(lambda: "scheduler_started" in scheduler.events())

    assert scheduler.stop() == 0
