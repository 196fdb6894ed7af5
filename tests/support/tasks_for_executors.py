"""Functions that executors carry out in other processes; importable by name."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from shared.execution.executor import TaskLimits, ignore
from shared.execution.processes import LocalProcesses
from shared.execution.ray_cluster import RayExecutor


def scaled(factor: int, item: int) -> int:
    """Slow for small items, so that later ones are done first."""
    time.sleep(0.2 if item == 0 else 0.0)
    return factor * item


def refuses_three(_common: None, item: int) -> int:
    if item == 3:
        raise ValueError("three is refused")
    return item


def dies_once(folder: str, item: int) -> int:
    """The first process that gets an odd item is killed with it."""
    mark = Path(folder) / str(item)
    if item % 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def always_dies(_common: None, item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def takes_memory(n_bytes: int, item: int) -> float:
    return float(np.ones(n_bytes // 8)[item])


def sleeps(seconds: float, item: int) -> int:
    time.sleep(seconds)
    return item


def writes_its_pid_and_sleeps(folder: str, item: int) -> int:
    (Path(folder) / f"{item}.pid").write_text(str(os.getpid()))
    time.sleep(600)
    return item


def ask_and_wait(folder: str) -> None:
    """A driver: its tasks take ten minutes."""
    address = os.environ.get("RAY_ADDRESS")
    limits = TaskLimits()
    executor = RayExecutor(address, limits) if address else LocalProcesses(2, limits)
    executor.map(writes_its_pid_and_sleeps, folder, [0, 1], names=["0", "1"], watch=ignore)


def own_pid(_common: None, _item: int) -> int:
    return os.getpid()


def meets(folder: str, item: int) -> str:
    """The node's number; each of two tasks waits until the other one has come to the folder."""
    import ray  # noqa: PLC0415 - only a node of a cluster has it

    (Path(folder) / f"came-{item}").touch()
    deadline = time.monotonic() + 300
    while not (Path(folder) / f"came-{1 - item}").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the other task did not come")
        time.sleep(0.05)
    return str(ray.get_runtime_context().get_node_id())
