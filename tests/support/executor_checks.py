"""What tests of executors have in common."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from learning.trainers.request import Recipe, TrainingRequest
from shared.tasks import TaskKind
from tests.learning.trainers.rows import request_for


class Stopped(Exception):
    """A request to stop."""


def silent(_what: str, _share: float) -> None: ...


def training() -> TrainingRequest:
    """Three recipes, two folds."""
    usual = Recipe()
    others = (Recipe(settings={"max_iter": 20}), Recipe(settings={"max_leaf_nodes": 4}))
    return replace(request_for(TaskKind.BINARY), recipes=(usual, *others), folds=2)


def names(count: int) -> list[str]:
    return [f"item {at}" for at in range(count)]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
