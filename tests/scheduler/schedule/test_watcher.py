"""The watcher: what the table says is in force at the next tick, and nothing bad ever is."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.schedule.plan import advance, make_plan
from scheduler.schedule.table import DatabaseScheduleTable, ScheduleRow
from scheduler.schedule.watcher import ScheduleWatcher
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND
from shared.errors import DataUnavailable
from shared.intervals import Interval
from shared.tables.config import read_retraining_config
from shared.tables.runs import list_runs
from tests.scheduler.fakes import NOW_US, SettableClock

MINUTE = 60 * MICROS_PER_SECOND


@dataclass
class PocketTable:
    """RetrainingConfig in memory, which may be away."""

    row: ScheduleRow = field(
        default_factory=lambda: ScheduleRow("1W", is_enabled=True, anchor_us=NOW_US)
    )
    away: bool = False
    requested: list[int] = field(default_factory=list)
    writes: int = 0

    def read(self) -> ScheduleRow:
        if self.away:
            raise DataUnavailable("no database")
        return self.row

    def write_back(self, last_run_us: int | None, next_run_us: int | None) -> None:
        self.writes += 1
        self.row = replace(self.row, last_run_us=last_run_us, next_run_us=next_run_us)

    def request(self, due_us: int) -> int:
        if self.away:
            raise DataUnavailable("no database")
        self.requested.append(due_us)
        return len(self.requested)


@dataclass
class Desk:
    table: PocketTable
    clock: SettableClock
    watcher: ScheduleWatcher

    def edit(self, **changes: object) -> None:
        self.table.row = replace(self.table.row, **changes)  # type: ignore[arg-type]
        self.watcher.tick()

    def after(self, **duration: float) -> None:
        self.clock.move(round(timedelta(**duration).total_seconds() * MICROS_PER_SECOND))
        self.watcher.tick()


@pytest.fixture
def desk(log: FilteringBoundLogger) -> Desk:
    table, clock = PocketTable(), SettableClock()
    watcher = ScheduleWatcher(table, clock, log)
    watcher.tick()
    return Desk(table, clock, watcher)


def test_the_next_run_is_written_down_and_only_when_it_changes(desk: Desk) -> None:
    desk.watcher.tick()
    desk.watcher.tick()

    assert desk.table.row.next_run_us == NOW_US + 7 * MICROS_PER_DAY
    assert desk.table.writes == 1


def test_a_run_is_requested_once_when_it_is_due(desk: Desk) -> None:
    desk.after(days=6)
    assert desk.table.requested == []
    desk.after(days=1)
    desk.after(minutes=1)

    assert desk.table.requested == [NOW_US + 7 * MICROS_PER_DAY]
    assert desk.table.row.next_run_us == NOW_US + 14 * MICROS_PER_DAY


def test_a_changed_interval_is_in_force_at_the_next_tick(desk: Desk) -> None:
    desk.clock.move(90 * MINUTE)
    desk.edit(interval="1H")

    assert desk.table.row.next_run_us == NOW_US + 2 * MICROS_PER_HOUR
    assert desk.table.requested == []


def test_switched_off_means_off_and_switched_on_owes_nothing(desk: Desk) -> None:
    desk.edit(is_enabled=False)
    assert desk.table.row.next_run_us is None
    desk.after(days=30)
    desk.edit(is_enabled=True)

    assert desk.table.requested == []
    assert desk.table.row.next_run_us == NOW_US + 35 * MICROS_PER_DAY


def test_a_bad_interval_keeps_the_last_good_one_and_is_logged_once(desk: Desk) -> None:
    desk.edit(interval="1D")
    with capture_logs() as logs:
        desk.edit(interval="every now and then")
        desk.watcher.tick()
        desk.after(days=1)
        desk.edit(interval="soon")
        desk.edit(interval="1D")
        desk.edit(interval="soon")

    told = [entry for entry in logs if entry["event"] == "interval_invalid"]
    assert [entry["in_force"] for entry in told] == ["1D", "1D", "1D"]
    assert desk.table.requested == [NOW_US + MICROS_PER_DAY]


def test_a_bad_interval_at_the_start_falls_back_to_a_week(log: FilteringBoundLogger) -> None:
    table = PocketTable(ScheduleRow("never", is_enabled=True, anchor_us=NOW_US))
    watcher = ScheduleWatcher(table, SettableClock(), log)
    watcher.tick()

    assert watcher.plan is not None
    assert watcher.plan.interval.text == "1W"


def test_a_database_that_is_away_keeps_the_plan_and_loses_no_due_instant(desk: Desk) -> None:
    desk.table.away = True
    with capture_logs() as logs:
        desk.after(days=7)
        desk.after(minutes=1)
        desk.table.away = False
        desk.after(minutes=1)

    assert [entry["event"] for entry in logs] == [
        "database_unavailable",
        "run_due",
        "database_available_again",
    ]
    assert desk.table.requested == [NOW_US + 7 * MICROS_PER_DAY]


def test_what_an_earlier_process_promised_is_run_once_after_downtime(
    log: FilteringBoundLogger,
) -> None:
    promised_us = NOW_US + MICROS_PER_DAY
    table = PocketTable(
        ScheduleRow("1D", is_enabled=True, anchor_us=NOW_US, next_run_us=promised_us)
    )
    clock = SettableClock(NOW_US + 3 * MICROS_PER_DAY + MINUTE)
    watcher = ScheduleWatcher(table, clock, log)
    watcher.tick()
    watcher.tick()

    assert table.requested == [NOW_US + 3 * MICROS_PER_DAY]


def test_a_promise_that_is_off_the_grid_of_the_new_interval_is_void() -> None:
    now_us = NOW_US + 2 * MICROS_PER_HOUR
    plan = make_plan(
        Interval.parse("1W"),
        NOW_US,
        now_us,
        is_enabled=True,
        promised_us=NOW_US + MICROS_PER_HOUR,
    )

    assert advance(plan, now_us) == (plan, None)


def test_last_run_is_the_start_of_the_latest_run(desk: Desk) -> None:
    desk.watcher.ran(NOW_US + 5)
    desk.watcher.tick()

    assert desk.table.row.last_run_us == NOW_US + 5


def test_plain_sql_changes_the_schedule_in_the_real_table(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    clock = SettableClock()
    watcher = ScheduleWatcher(DatabaseScheduleTable(engine), clock, log)
    clock.move(300 * MICROS_PER_DAY)
    watcher.tick()
    with engine.begin() as connection:
        connection.execute(text("UPDATE RetrainingConfig SET Interval = '1H' WHERE ConfigId = 1"))
    watcher.tick()
    clock.move(MICROS_PER_HOUR)
    watcher.tick()

    [run] = list_runs(engine)
    assert (run.job, run.requested_by) == ("retraining", "schedule")
    next_run = read_retraining_config(engine).next_run
    assert next_run is not None
    assert watcher.plan is not None
    assert watcher.plan.next_us is not None
    with engine.begin() as connection:
        connection.execute(text("UPDATE RetrainingConfig SET IsEnabled = 0 WHERE ConfigId = 1"))
    watcher.tick()
    assert read_retraining_config(engine).next_run is None
