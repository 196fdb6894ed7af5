"""Schedulers that are killed for real: what one began another ends, once."""

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.tables.engine import connect, migrate
from shared.tables.leases import request_cancel
from shared.tables.runs import Run, RunStatus, get_run, list_runs
from tests.postgres import Postgres, postgres
from tests.scheduler.accepting_api import AcceptingApi, accepting_api
from tests.scheduler.processes import SchedulerProcess, free_port, latest, marks, start

pytestmark = pytest.mark.slow

__all__ = ["postgres"]
Launch = Callable[..., SchedulerProcess]


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'understudy.db'}"
    if getattr(request, "param", None) == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    engine = connect(url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def api() -> Iterator[AcceptingApi]:
    with accepting_api() as server:
        yield server


@pytest.fixture
def launch(tmp_path: Path, engine: Engine, api: AcceptingApi) -> Iterator[Launch]:
    started: list[SchedulerProcess] = []

    def go(name: str, **extra: str) -> SchedulerProcess:
        started.append(start(tmp_path, engine, api, name, **extra))
        return started[-1]

    yield go
    for scheduler in started:
        if scheduler.process.poll() is None:
            scheduler.kill()


def is_over(run: Run) -> bool:
    return run.status not in {RunStatus.REQUESTED, RunStatus.RUNNING}


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"], indirect=True)
def test_what_a_killed_scheduler_began_another_ends_and_does_no_step_twice(
    launch: Launch, engine: Engine, api: AcceptingApi, tmp_path: Path
) -> None:
    first = launch("first", TRAINING="hangs")
    first.wait_for(lambda: "train" in marks(tmp_path))
    [child] = children_of(first.process.pid)
    second = launch("second")
    second.wait_for(lambda: "scheduler_started" in second.events())
    begun = latest(engine)
    first.kill()

    second.wait_for(lambda: is_over(latest(engine)))
    ended = latest(engine)
    assert (ended.run_id, ended.status) == (begun.run_id, RunStatus.SUCCEEDED)
    assert ended.lease_owner != begun.lease_owner
    assert (ended.fencing_number or 0) > (begun.fencing_number or 0)
    assert [one.fencing_number for one in api.accepted] == [ended.fencing_number]
    assert marks(tmp_path) == ["snapshot", "features", "train", "train"]
    assert not is_alive(child)
    assert second.stop() == 0


def test_a_cycle_that_died_in_the_middle_goes_on_after_its_last_step(
    launch: Launch, engine: Engine, tmp_path: Path
) -> None:
    scheduler = launch("only", SCORING="dies")
    scheduler.wait_for(lambda: bool(list_runs(engine)) and is_over(latest(engine)))

    assert (latest(engine).status, latest(engine).attempts) == (RunStatus.SUCCEEDED, 2)
    done = marks(tmp_path)
    assert (done.count("snapshot"), done.count("features"), done.count("train")) == (1, 1, 1)
    told = {step["step"]: step["result"] for step in latest(engine).steps}
    assert {told[step] for step in ("snapshot", "features", "train")} == {"reused"}


def test_a_running_cycle_can_be_cancelled_and_the_next_one_asked_for(
    launch: Launch, engine: Engine, tmp_path: Path
) -> None:
    scheduler = launch("only", TRAINING="hangs", METRICS_PORT=str(port := free_port()))
    scheduler.wait_for(lambda: "train" in marks(tmp_path))
    run_id = latest(engine).run_id
    request_cancel(engine, run_id, "the on-call")
    scheduler.wait_for(lambda: is_over(row(engine, run_id)))

    assert (row(engine, run_id).status, row(engine, run_id).code) == ("SKIPPED", "cancelled")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        figures = answer.read().decode()
    assert 'outcome="skipped",status="SKIPPED"} 1.0' in figures


def row(engine: Engine, run_id: int) -> Run:
    run = get_run(engine, run_id)
    assert run is not None
    return run
