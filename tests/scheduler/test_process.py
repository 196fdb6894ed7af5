"""The scheduler as a process: it learns when asked, follows SQL, and stops when told."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.clock import SystemClock
from shared.keys.tokens import Role, ensure_tokens, token_path
from shared.tables.config import read_retraining_config
from shared.tables.runs import RunStatus, request_run
from tests.scheduler.processes import SchedulerProcess, latest, start
from tests.scheduler.standin_api import StandInApi, standin_api

pytestmark = pytest.mark.slow

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
            scheduler.kill()


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
    assert (tmp_path / "scheduler.beat").exists()

    assert scheduler.stop() == 0
    assert scheduler.events()[-1] == "scheduler_stopped"
    assert "periodic_task_failed" not in scheduler.events()
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
