"""Reads go on without the database, and come back to it."""

import pytest
import structlog

from shared.errors import DataUnavailable
from shared.tables.reads import ReadGuard


class Database:
    """Answers, or fails while it is down."""

    def __init__(self) -> None:
        self.down = False
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        if self.down:
            raise DataUnavailable("no route to host")
        return "stored"


class HandClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failure_is_answered_with_the_fallback_and_counted() -> None:
    database, guard = Database(), ReadGuard(clock=HandClock())
    database.down = True
    assert guard.read(database.ask, "memory") == "memory"
    assert guard.fallbacks == 1


def test_a_database_that_failed_is_left_alone_for_a_while() -> None:
    database, clock = Database(), HandClock()
    guard = ReadGuard(pause_seconds=1.0, clock=clock)
    database.down = True
    guard.read(database.ask, "memory")
    database.down = False
    assert guard.read(database.ask, "memory") == "memory"
    assert (database.asked, guard.fallbacks) == (1, 2)
    clock.now += 1.0
    assert guard.read(database.ask, "memory") == "stored"


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends() -> None:
    database, clock = Database(), HandClock()
    guard = ReadGuard(pause_seconds=1.0, clock=clock)
    with structlog.testing.capture_logs() as logs:
        for down in (False, True, True, True, False, False):
            database.down = down
            guard.read(database.ask, "memory")
            clock.now += 1.0
    assert [line["event"] for line in logs] == ["history_unreadable", "history_readable_again"]
    assert logs[0]["reason"] == "no route to host"


def test_a_mistake_of_ours_is_not_taken_for_an_outage() -> None:
    def wrong() -> str:
        raise KeyError("column")

    with pytest.raises(KeyError):
        ReadGuard().read(wrong, "memory")
