"""A tick that does not return is told once, however many instants pass meanwhile."""

import threading
from collections.abc import Sequence
from functools import partial

import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from scheduler.service import PeriodicTask, build_scheduler
from tests.api.server import wait_until

EVERY_SECONDS = 0.02


def test_a_tick_that_hangs_is_told_once_and_again_when_it_hangs_again() -> None:
    gates = [threading.Event(), threading.Event()]
    passed = 0
    over = threading.Event()

    def hang() -> None:
        nonlocal passed
        if passed < len(gates):
            gates[passed].wait(20)
        passed += 1
        if passed > len(gates):
            over.set()

    with capture_logs() as lines:
        scheduler = build_scheduler(
            [PeriodicTask("slow", hang, EVERY_SECONDS)], structlog.get_logger()
        )
        thread = threading.Thread(target=scheduler.start, daemon=True)
        thread.start()
        for number, gate in enumerate(gates, 1):
            wait_until(partial(has_told, lines, number))
            # Five more instants go by, and nobody says it again.
            threading.Event().wait(5 * EVERY_SECONDS)
            assert count(lines) == number
            gate.set()
        assert over.wait(10)
        scheduler.shutdown()
        thread.join(10)


def has_told(lines: Sequence[EventDict], times: int) -> bool:
    return count(lines) == times


def count(lines: Sequence[EventDict]) -> int:
    return sum(line["event"] == "periodic_task_hangs" for line in lines)
