"""Steps are shown as they begin and end, and a database that is away stops none of them."""

from typing import Any

import pytest
import structlog

from scheduler.cycle.interruption import Interruption
from scheduler.cycle.steps import StepLog
from shared.errors import DataUnavailable
from tests.scheduler.fakes import SettableClock


class Board:
    """Shows steps until it is taken down."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []
        self.is_away = False

    def show(self, steps: list[dict[str, Any]]) -> None:
        if self.is_away:
            raise DataUnavailable("away")
        self.shown.append([f"{step['step']} {step['result']}" for step in steps])


def test_every_step_is_shown_as_it_begins_and_ends_and_a_board_that_is_away_changes_nothing() -> (
    None
):
    board = Board()
    steps = StepLog(structlog.get_logger(), Interruption(), board.show)
    with steps.step("snapshot"):
        assert board.shown == [["snapshot running"]]
    board.is_away = True
    with steps.step("train"):
        pass
    board.is_away = False
    with steps.step("push"):
        pass
    done = ["snapshot ok", "train ok"]
    assert board.shown == [
        ["snapshot running"],
        ["snapshot ok"],
        [*done, "push running"],
        [*done, "push ok"],
    ]


def test_a_step_says_when_it_began_and_how_long_it_took_also_when_it_fails() -> None:
    clock = SettableClock(1_767_225_600_000_000)
    steps = StepLog(structlog.get_logger(), Interruption(), clock=clock)
    with pytest.raises(ValueError, match="no rows"), steps.step("snapshot"):
        raise ValueError("no rows")
    clock.move(90_000_000)
    with steps.step("train"):
        pass
    assert [(step["started_at"], step["result"]) for step in steps.records] == [
        ("2026-01-01T00:00:00.000000Z", "failed"),
        ("2026-01-01T00:01:30.000000Z", "ok"),
    ]
    assert all(step["duration_seconds"] >= 0 for step in steps.records)
