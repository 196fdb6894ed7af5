"""A run over files on a Ray cluster whose nodes share WORK_DIR: the bundle of the run in memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

import usecases
from benchmarks.ray_nodes import running_ray
from benchmarks.small_world import write_small_world
from learning.dataset.large import LargeRuns
from scheduler.cycle.records import RunRecorder
from scheduler.runners import tasks_of
from scheduler.settings import SchedulerSettings
from shared.execution.executor import current_executor, executor_of_files, ignore
from shared.tables.engine import connect, migrate
from shared.tables.runs import Run, RunStatus
from tests.scheduler.fakes import PocketApi, SettableClock
from tests.support import tasks_for_executors as tasks
from tests.support.cycle_bench import context_of, run_once

pytest.importorskip("duckdb", reason="pip install -r requirements/learning.txt")
pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]

ROWS = 4_000
KEY = Ed25519PrivateKey.generate()
OF_FILES = (
    "counted statistic 0 of the days", "shard 0 of merchants", "shard 0 of users",
    "scores of held-out rows 0 to 700",
)  # fmt: skip


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A head and a worker, each takes a task at a time; the driver's environment names them."""
    if find_spec("ray") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have Ray; install requirements/ray.txt")
        pytest.skip("Ray is not installed here; requirements/ray.txt has it")
    with running_ray(tmp_path_factory.mktemp("ray"), head_cpus=1) as nodes:
        nodes.start_worker()
        before = dict(os.environ)
        os.environ.update(nodes.environment)
        yield
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class _Ended:
    run: Run
    pushed: list[bytes]
    events: list[Any]


def _run(folder: Path, large: LargeRuns) -> _Ended:
    folder.mkdir()
    clock = SettableClock()
    engine = connect(f"sqlite:///{folder / 'understudy.db'}")
    migrate(engine)
    write_small_world(engine, clock.now_us(), ROWS)
    context = context_of(usecases.load_learning("fraud"), engine, clock, folder, KEY)
    context = replace(context, large=large, recipe="the same")
    with capture_logs() as entries:
        run = run_once(context, clock, RunRecorder(engine, structlog.get_logger()))
    engine.dispose()
    assert isinstance(context.api, PocketApi)
    assert run.status is RunStatus.SUCCEEDED, run.message
    return _Ended(run, [raw for raw, _signature in context.api.pushed], list(entries))


def _settings(address: str | None, *, shares: bool) -> SchedulerSettings:
    return SchedulerSettings(ray_address=address, ray_shares_work_dir=shares)


def test_tasks_over_files_run_on_nodes_that_share_the_folder_with_the_same_bundle(
    two_nodes: None, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    in_memory = _run(tmp_path / "memory", LargeRuns(ROWS, work))
    with tasks_of(_settings(os.environ["RAY_ADDRESS"], shares=True)):
        # each waits for the other's file: both nodes take tasks, and see one folder
        met = executor_of_files().map(
            tasks.meets, str(tmp_path), [0, 1], names=["0", "1"], watch=ignore
        )
        on_ray = _run(tmp_path / "ray", LargeRuns(ROWS - 1, work, rows_per_shard=700))
    assert len(set(met)) == 2
    assert on_ray.pushed == in_memory.pushed
    assert on_ray.run.metrics == in_memory.run.metrics
    first = [one["first"] for one in on_ray.events if one["event"] == "tasks_on_ray"]
    assert [name for name in OF_FILES if name not in first] == []
    assert list((work / "snapshots").iterdir()) == []


def test_without_the_setting_only_tasks_that_need_no_files_go_to_the_cluster(
    two_nodes: None,
) -> None:
    with tasks_of(_settings(os.environ["RAY_ADDRESS"], shares=False)):
        assert current_executor() is not executor_of_files()
        here = executor_of_files().map(tasks.own_pid, None, [0, 1], names=["0", "1"], watch=ignore)
        there = current_executor().map(tasks.own_pid, None, [0, 1], names=["0", "1"], watch=ignore)
    assert set(here) == {os.getpid()}
    assert os.getpid() not in there
