"""Tasks on a real Ray cluster, with a token and TLS. It takes its time to start."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.ray_nodes import ROOT, RayNodes, running_ray
from benchmarks.small_world import write_small_world
from learning.trainers.train import train
from shared.clock import SystemClock
from shared.execution.executor import InTurn, TaskFailed, TaskLimits, executing, ignore
from shared.execution.ray_cluster import RayExecutor
from shared.sizes import MIB
from shared.tables.engine import connect
from shared.tables.schema import metadata
from tests.support import tasks_for_executors as tasks
from tests.support.executor_checks import Stopped, is_alive, names, silent, training, wait_until
from tests.support.large_history import read_large_history

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ENDED_WITHIN_SECONDS = 10


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    if find_spec("ray") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have Ray; install requirements/ray.txt")
        pytest.skip("Ray is not installed here; requirements/ray.txt has it")
    with running_ray(tmp_path_factory.mktemp("ray")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def executor(cluster: RayNodes) -> Iterator[RayExecutor]:
    before = dict(os.environ)
    os.environ.update(cluster.environment)
    made = RayExecutor(cluster.environment["RAY_ADDRESS"], TaskLimits(600, 512 * MIB))
    yield made
    made.close()
    os.environ.clear()
    os.environ.update(before)


def test_results_have_the_order_of_the_items(executor: RayExecutor) -> None:
    found = executor.map(tasks.scaled, 10, list(range(5)), names=names(5), watch=ignore)
    assert found == [0, 10, 20, 30, 40]


def test_a_candidate_fitted_on_ray_is_the_same_to_the_bit(executor: RayExecutor) -> None:
    in_turn = train(training(), silent)
    with executing(executor):
        on_ray = train(training(), silent)
    assert on_ray.files == in_turn.files
    assert on_ray.hyperparameters == in_turn.hyperparameters


def test_shards_and_checks_of_a_history_in_files_find_the_same_on_ray(
    executor: RayExecutor, tmp_path: Path
) -> None:
    engine = connect(f"sqlite:///{tmp_path}/rows.db")
    metadata.create_all(engine)
    now_us = SystemClock().now_us()
    write_small_world(engine, now_us, 2_500)
    in_turn, on_ray = (
        read_large_history(engine, now_us, tmp_path / type(where).__name__, executing(where))
        for where in (InTurn(), executor)
    )
    engine.dispose()
    assert on_ray == in_turn


def test_an_error_names_the_item(executor: RayExecutor) -> None:
    with pytest.raises(TaskFailed, match="item 3: ValueError: three is refused"):
        executor.map(tasks.refuses_three, None, list(range(5)), names=names(5), watch=ignore)
    with pytest.raises(TaskFailed, match="item 0: used up the memory"):
        executor.map(tasks.takes_memory, 2048 * MIB, [1], names=names(1), watch=ignore)


def test_a_task_whose_worker_is_killed_is_begun_again(
    executor: RayExecutor, tmp_path: Path
) -> None:
    found = executor.map(tasks.dies_once, str(tmp_path), [1, 2, 3], names=names(3), watch=ignore)
    assert found == [1, 2, 3]
    assert {path.name for path in tmp_path.iterdir()} == {"1", "3"}


def test_a_request_to_stop_ends_tasks_on_the_cluster(executor: RayExecutor, tmp_path: Path) -> None:
    def pids() -> list[int]:
        return [int(path.read_text() or 0) for path in tmp_path.glob("*.pid")]

    def stop(_finished: int) -> None:
        if len(pids()) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        executor.map(
            tasks.writes_its_pid_and_sleeps, str(tmp_path), [0, 1], names=names(2), watch=stop
        )
    wait_until(lambda: not any(map(is_alive, pids())), 120)


def test_tasks_end_within_seconds_of_the_death_of_the_driver(
    cluster: RayNodes, tmp_path: Path
) -> None:
    program = "import sys; from tests.support import tasks_for_executors as t; "
    program += "t.ask_and_wait(sys.argv[1])"
    environment = {**os.environ, **cluster.environment, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([sys.executable, "-c", program, tmp_path], env=environment)
    try:
        wait_until(lambda: len([*tmp_path.glob("*.pid")]) == 2, 240)
    finally:
        driver.kill()
        driver.wait()
    began = time.monotonic()
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(map(is_alive, pids)), 120)
    # the promise holds on a machine that has time for it
    if os.getloadavg()[0] < (os.cpu_count() or 1):
        assert time.monotonic() - began < ENDED_WITHIN_SECONDS
