"""Steps are shown while a run goes on, and a database that is away stops none of them."""

from typing import Any

import structlog

from scheduler.cycle.interruption import Interruption
from scheduler.cycle.steps import StepLog
from shared.errors import DataUnavailable


class Board:
    """Shows steps until it is taken down."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []
        self.is_away = False

    def show(self, steps: list[dict[str, Any]]) -> None:
        if self.is_away:
            raise DataUnavailable("away")
        self.shown.append([step["step"] for step in steps])


def test_every_finished_step_is_shown_and_a_board_that_is_away_changes_nothing() -> None:
    board = Board()
    steps = StepLog(structlog.get_logger(), Interruption(), board.show)
    with steps.step("snapshot"):
        assert board.shown == []
    with steps.step("train"):
        board.is_away = True
    board.is_away = False
    with steps.step("push"):
        pass
    assert board.shown == [["snapshot"], ["snapshot", "train", "push"]]
    assert [step["result"] for step in steps.records] == ["ok", "ok", "ok"]
