"""A real scheduler on a machine whose wall clock is set while it runs (libfaketime)."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from scheduler.heartbeat import read_beat
from scheduler.schedule.jobs import ARCHIVE, DRIFT, RETRAINING
from shared.clock import SystemClock
from shared.tables.job_schedules import read_schedules
from shared.tables.runs import list_runs
from tests.scheduler.processes import SchedulerProcess, start
from tests.scheduler.standin_api import StandInApi, standin_api
from tests.support.api_answers import current_model

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
AHEAD_SECONDS = 8
SCHEDULED = {RETRAINING, DRIFT, ARCHIVE}


@pytest.fixture
def api() -> Iterator[StandInApi]:
    with standin_api() as server:
        # a model serves, so nobody asks for a first one
        server.answers["/current_model"] = (200, current_model("1.0.0"))
        yield server


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """What this file says is added to the wall clock of the process."""
    path = tmp_path / "wall"
    path.write_text("+0\n")
    return path


@pytest.fixture
def scheduler(
    tmp_path: Path, engine: Engine, api: StandInApi, wall: Path
) -> Iterator[SchedulerProcess]:
    with engine.begin() as connection:
        connection.execute(text("UPDATE RetrainingConfig SET Interval = '12H' WHERE ConfigId = 1"))
    fake = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(wall),
        "FAKETIME_NO_CACHE": "1",
        # elapsed time cannot be set on any machine
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    scheduler = start(tmp_path, engine, api, **fake)
    yield scheduler
    if scheduler.process.poll() is None:
        scheduler.kill()


@pytest.mark.slow
@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
def test_thirty_days_ahead_for_eight_seconds_are_told_and_cost_nothing(
    scheduler: SchedulerProcess, engine: Engine, wall: Path, tmp_path: Path
) -> None:
    scheduler.wait_for(lambda: {one.job for one in read_schedules(engine)} >= SCHEDULED)
    before = {one.job: one.next_due_us for one in read_schedules(engine)}
    wall.write_text("+30d\n")
    scheduler.wait_for(lambda: "clock_doubted" in scheduler.events())
    time.sleep(AHEAD_SECONDS)
    wall.write_text("+0\n")
    scheduler.wait_for(lambda: "clock_spike_over" in scheduler.events())

    def has_looked_again() -> bool:
        beat = read_beat(tmp_path / "scheduler.beat")
        return beat is not None and 0 <= SystemClock().now_us() - beat.at_us < 6_000_000

    time.sleep(6)
    scheduler.wait_for(has_looked_again)
    assert {one.job: one.next_due_us for one in read_schedules(engine)} == before
    assert list_runs(engine) == []
    assert scheduler.stop() == 0
