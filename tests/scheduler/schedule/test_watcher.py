"""The watcher: what the table says is in force at the next tick, and nothing bad ever is."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.schedule.jobs import RETRAINING
from scheduler.schedule.table import DatabaseScheduleTable, FixedSchedule, ScheduleRow
from scheduler.schedule.watcher import ScheduleWatcher
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND, isoformat
from shared.tables.config import read_retraining_config
from shared.tables.job_schedules import JobSchedule, read_schedules
from shared.tables.runs import RunStatus, claim_next, finish, list_runs, request_run
from tests.scheduler.fakes import NOW_US, SettableClock
from tests.support.schedule_tables import PocketTable

MINUTE = 60 * MICROS_PER_SECOND
WINDOW_DAYS = 2


@dataclass
class Desk:
    engine: Engine
    log: FilteringBoundLogger
    table: PocketTable
    clock: SettableClock

    def watcher(self) -> ScheduleWatcher:
        """A new one each time: nothing may depend on what a process remembers."""
        return ScheduleWatcher(
            job=RETRAINING,
            table=self.table,
            engine=self.engine,
            clock=self.clock,
            log=self.log,
            catch_up_seconds=WINDOW_DAYS * 86_400,
        )

    def edit(self, **changes: object) -> None:
        self.table.row = replace(self.table.row, **changes)  # type: ignore[arg-type]
        self.watcher().tick()

    def after(self, **duration: float) -> None:
        self.clock.move(round(timedelta(**duration).total_seconds() * MICROS_PER_SECOND))
        self.watcher().tick()

    def rows(self) -> list[tuple[str, str]]:
        """Due instants and what became of them, oldest first."""
        return [(run.scheduled_for, run.status.value) for run in reversed(list_runs(self.engine))]

    def in_force(self) -> JobSchedule:
        [schedule] = read_schedules(self.engine)
        return schedule


@pytest.fixture
def desk(engine: Engine, log: FilteringBoundLogger) -> Desk:
    table = PocketTable(ScheduleRow("1W", is_enabled=True, anchor_us=NOW_US))
    desk = Desk(engine, log, table, SettableClock())
    desk.watcher().tick()
    return desk


def due(*, days: float) -> str:
    return isoformat(NOW_US + round(days * MICROS_PER_DAY))


def finish_next(engine: Engine) -> None:
    run = claim_next(engine)
    assert run is not None
    finish(engine, run.run_id, RunStatus.SUCCEEDED, "promoted", "")


def test_a_run_is_requested_once_when_it_is_due(desk: Desk) -> None:
    desk.after(days=6)
    assert desk.rows() == []
    desk.after(days=1)
    desk.after(minutes=1)

    assert desk.rows() == [(due(days=7), "REQUESTED")]
    assert desk.table.shown_us == NOW_US + 14 * MICROS_PER_DAY


def test_a_changed_interval_is_in_force_at_the_next_tick_and_owes_nothing(desk: Desk) -> None:
    desk.clock.move(90 * MINUTE)
    desk.edit(interval="1H")

    assert desk.rows() == []
    assert desk.in_force().next_due_us == NOW_US + 2 * MICROS_PER_HOUR


def test_switched_off_means_off_and_switched_on_owes_nothing(desk: Desk) -> None:
    desk.edit(is_enabled=False)
    assert desk.table.shown_us is None
    desk.after(days=30)
    desk.edit(is_enabled=True)

    assert desk.rows() == []
    assert desk.table.shown_us == NOW_US + 35 * MICROS_PER_DAY


def test_a_bad_interval_keeps_the_last_good_one_and_says_so_until_it_is_good(desk: Desk) -> None:
    desk.edit(interval="1D")
    with capture_logs() as logs:
        desk.edit(interval="every now and then")
        desk.after(days=1)

    assert [entry["event"] for entry in logs].count("interval_invalid") >= 1
    assert desk.rows() == [(due(days=1), "REQUESTED")]
    assert "1D stays in force" in str(desk.in_force().problem)
    desk.edit(interval="1D")
    assert desk.in_force().problem is None


def test_a_bad_interval_is_logged_once_by_one_watcher(desk: Desk) -> None:
    desk.table.row = replace(desk.table.row, interval="soon")
    watcher = desk.watcher()
    with capture_logs() as logs:
        watcher.tick()
        watcher.tick()

    assert [entry["event"] for entry in logs].count("interval_invalid") == 1


def test_a_bad_interval_at_the_very_start_falls_back_to_a_week(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    desk = Desk(engine, log, PocketTable(ScheduleRow("never", True, NOW_US)), SettableClock())
    desk.watcher().tick()

    assert desk.in_force().interval == "1W"


def test_a_database_that_is_away_loses_no_due_instant_and_is_told_once(desk: Desk) -> None:
    watcher = desk.watcher()
    desk.table.away = True
    with capture_logs() as logs:
        desk.clock.move(7 * MICROS_PER_DAY)
        watcher.tick()
        watcher.tick()
        desk.table.away = False
        watcher.tick()

    events = [entry["event"] for entry in logs]
    assert events.count("database_unavailable") == events.count("database_available_again") == 1
    assert desk.rows() == [(due(days=7), "REQUESTED")]


def test_after_downtime_the_latest_instant_is_run_and_the_others_were_missed(desk: Desk) -> None:
    desk.edit(interval="1D")
    desk.after(days=4, hours=1)

    assert desk.rows() == [
        (due(days=1), "MISSED"),
        (due(days=2), "MISSED"),
        (due(days=3), "MISSED"),
        (due(days=4), "REQUESTED"),
    ]


def test_what_was_due_before_the_catch_up_window_is_not_made_up_for(desk: Desk) -> None:
    desk.after(days=7 + WINDOW_DAYS, seconds=1)

    assert desk.rows() == [(due(days=7), "MISSED")]
    assert list_runs(desk.engine)[0].code == "outside_window"


def test_an_instant_that_comes_while_a_run_is_not_over_is_skipped_with_a_row(desk: Desk) -> None:
    desk.edit(interval="1D")
    desk.after(days=1)
    desk.after(days=1)
    claim_next(desk.engine)
    desk.after(days=1)

    assert [status for _, status in desk.rows()] == ["RUNNING", "SKIPPED", "SKIPPED"]
    skipped = list_runs(desk.engine)[0]
    assert (skipped.code, skipped.message) == ("overlap", "run 1 was not over")


def test_an_instant_that_somebody_asked_for_by_hand_keeps_that_row(desk: Desk) -> None:
    request_run(desk.engine, RETRAINING, NOW_US + 7 * MICROS_PER_DAY, "operator")
    desk.after(days=7)

    [run] = list_runs(desk.engine)
    assert run.requested_by == "operator"


def test_a_long_downtime_of_a_dense_schedule_is_worked_off_in_portions(desk: Desk) -> None:
    desk.edit(interval="1H")
    desk.after(hours=4_500)
    for _ in range(3):
        desk.watcher().tick()

    counts = Counter(run.status for run in list_runs(desk.engine, 10_000))
    assert counts == {RunStatus.MISSED: 4_499, RunStatus.REQUESTED: 1}


def test_a_job_with_a_fixed_interval_needs_no_table(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    clock = SettableClock()
    watcher = ScheduleWatcher(
        job="drift",
        table=FixedSchedule("1D"),
        engine=engine,
        clock=clock,
        log=log,
        catch_up_seconds=0,
    )
    watcher.tick()
    clock.move(MICROS_PER_DAY)
    watcher.tick()

    assert [run.job for run in list_runs(engine)] == ["drift"]


def test_plain_sql_changes_the_schedule_in_the_real_table_and_its_answers_are_true(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    clock = SettableClock()
    watcher = ScheduleWatcher(
        job=RETRAINING,
        table=DatabaseScheduleTable(engine),
        engine=engine,
        clock=clock,
        log=log,
        catch_up_seconds=86_400,
    )
    clock.move(300 * MICROS_PER_DAY)
    watcher.tick()
    with engine.begin() as connection:
        connection.execute(text("UPDATE RetrainingConfig SET Interval = '1H' WHERE ConfigId = 1"))
    watcher.tick()
    clock.move(MICROS_PER_HOUR)
    watcher.tick()

    [run] = list_runs(engine)
    assert (run.job, run.requested_by) == ("retraining", "schedule")
    finish_next(engine)
    watcher.tick()
    config = read_retraining_config(engine)
    assert config.last_run is not None
    assert config.last_run.isoformat()[:19] == str(list_runs(engine)[0].started_at)[:19]
    assert config.next_run is not None
    with engine.begin() as connection:
        connection.execute(text("UPDATE RetrainingConfig SET IsEnabled = 0 WHERE ConfigId = 1"))
    watcher.tick()
    assert read_retraining_config(engine).next_run is None


def test_what_an_earlier_version_put_in_force_and_this_one_refuses_gives_way_to_a_week(
    desk: Desk, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE JobSchedules SET Interval = '30m'"))
    desk.edit(interval="30m")
    [stored] = read_schedules(engine)
    assert stored.interval == "1W"
    assert "write PT30M for minutes" in str(stored.problem)
