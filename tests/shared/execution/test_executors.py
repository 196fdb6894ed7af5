"""Executors: the results of their tasks in order, wherever they ran, or an error that names one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.execution.executor import (
    Executor,
    InTurn,
    TaskFailed,
    TaskLimits,
    current_executor,
    executing,
    ignore,
)
from shared.execution.processes import LocalProcesses
from shared.execution.ray_cluster import host_of, refuse_open_cluster
from shared.sizes import MIB
from tests.support import tasks_for_executors as tasks
from tests.support.executor_checks import Stopped, is_alive, names, wait_until

ROOT = Path(__file__).parents[3]
BOTH = pytest.mark.parametrize("executor", [InTurn(), LocalProcesses(2, TaskLimits())], ids=type)


@BOTH
def test_results_have_the_order_of_the_items_whichever_is_done_first(executor: Executor) -> None:
    found = executor.map(tasks.scaled, 10, list(range(5)), names=names(5), watch=ignore)
    assert found == [0, 10, 20, 30, 40]
    assert executor.map(tasks.scaled, 10, [], names=[], watch=ignore) == []


@BOTH
def test_an_error_names_the_item_and_says_what_it_said(executor: Executor) -> None:
    with pytest.raises(TaskFailed, match="item 3: ValueError: three is refused"):
        executor.map(tasks.refuses_three, None, list(range(5)), names=names(5), watch=ignore)


@BOTH
def test_a_request_to_stop_ends_all_tasks(executor: Executor) -> None:
    def stop(_finished: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        executor.map(tasks.sleeps, 600.0, [1, 2], names=names(2), watch=stop)


def test_a_task_whose_process_dies_is_begun_again(tmp_path: Path) -> None:
    executor = LocalProcesses(2, TaskLimits())
    found = executor.map(tasks.dies_once, str(tmp_path), [1, 2, 3], names=names(3), watch=ignore)
    assert found == [1, 2, 3]
    assert {path.name for path in tmp_path.iterdir()} == {"1", "3"}


def test_a_task_whose_process_always_dies_is_named() -> None:
    executor = LocalProcesses(1, TaskLimits())
    with pytest.raises(TaskFailed, match=r"item 0: its process was ended by SIGKILL .* 4 times"):
        executor.map(tasks.always_dies, None, [1], names=names(1), watch=ignore)


def test_a_task_gets_no_more_memory_and_time_than_it_may_have() -> None:
    small = LocalProcesses(1, TaskLimits(seconds=600, memory_bytes=256 * MIB))
    assert small.map(tasks.takes_memory, 64 * MIB, [1], names=names(1), watch=ignore) == [1.0]
    with pytest.raises(TaskFailed, match=r"item 0: used up the memory .*TASK_MEMORY_LIMIT_BYTES"):
        small.map(tasks.takes_memory, 2048 * MIB, [1], names=names(1), watch=ignore)
    short = LocalProcesses(1, TaskLimits(seconds=0.2))
    with pytest.raises(TaskFailed, match=r"item 0: .*TASK_TIME_LIMIT_SECONDS"):
        short.map(tasks.sleeps, 600.0, [1], names=names(1), watch=ignore)


def test_tasks_end_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    program = "import sys; from tests.support import tasks_for_executors as t; "
    program += "t.ask_and_wait(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    driver = subprocess.Popen([sys.executable, "-c", program, tmp_path], env=environment)
    try:
        wait_until(lambda: len([*tmp_path.glob("*.pid")]) == 2, 120)
        wait_until(lambda: all(path.read_text() for path in tmp_path.glob("*.pid")))
    finally:
        driver.kill()
        driver.wait()
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(map(is_alive, pids)), 30)


def test_tasks_are_done_in_turn_unless_a_run_says_otherwise() -> None:
    assert isinstance(current_executor(), InTurn)
    other = LocalProcesses(2, TaskLimits())
    with executing(other):
        assert current_executor() is other
    assert isinstance(current_executor(), InTurn)


@pytest.mark.parametrize(
    ("address", "host"),
    [("ray://head:10001", "head"), ("10.0.0.1:6379", "10.0.0.1"), ("ray://[::1]:10001", "::1")],
)
def test_an_address_of_a_cluster_names_a_host(address: str, host: str) -> None:
    assert host_of(address) == host


@pytest.mark.parametrize("address", ["auto", "http://head:8265", "head", "ray://head", "local"])
def test_another_address_is_refused_with_the_form_that_is_due(address: str) -> None:
    with pytest.raises(ValueError, match="ray://HOST:10001"):
        host_of(address)


def test_a_cluster_without_token_or_tls_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as found:
        refuse_open_cluster("ray://head:10001", {})
    for name in ("RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN_PATH", "RAY_USE_TLS=1", "RAY_TLS_CA_CERT"):
        assert name in str(found.value)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "secret"}
    refuse_open_cluster("ray://127.0.0.1:10001", token)
    with pytest.raises(SettingsError, match="RAY_USE_TLS") as found:
        refuse_open_cluster("ray://head:10001", token)
    assert "secret" not in str(found.value)
    tls = {"RAY_USE_TLS": "1"}
    for name in ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT"):
        with pytest.raises(SettingsError, match=f"{name}, a file"):
            refuse_open_cluster("ray://head:10001", token | tls)
        (tmp_path / name).touch()
        tls[name] = str(tmp_path / name)
    refuse_open_cluster("ray://head:10001", token | tls)


def test_ray_is_imported_only_where_an_address_is_set() -> None:
    program = "import sys, scheduler.child, usecases; usecases.load_learning('fraud'); "
    program += "sys.exit('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 0
