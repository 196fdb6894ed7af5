"""The scheduler's clock jumps: nothing is answered that is not due, and what was is undone."""

from datetime import UTC, datetime, timedelta

import pytest
import structlog
from sqlalchemy import Engine
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.schedule.jobs import RETRAINING
from scheduler.schedule.table import ScheduleRow
from scheduler.schedule.watcher import ScheduleWatcher
from scheduler.service import Pause, PeriodicTask, build_scheduler, wake_lost_ticks
from shared.clock import (
    MICROS_PER_DAY,
    MICROS_PER_HOUR,
    MICROS_PER_SECOND,
    Clock,
    MachineClock,
    SystemClock,
    isoformat,
)
from shared.tables.engine import connect, migrate
from shared.tables.job_schedules import read_schedules
from shared.tables.leases import take_leadership
from shared.tables.locks import LONGEST_WAIT_US
from shared.tables.runs import RunStatus, claim_next, list_runs, request_run
from shared.tables.schema import duties, model_training_runs
from tests.postgres import Postgres, postgres
from tests.scheduler.fakes import NOW_US, SettableClock
from tests.support.schedule_tables import PocketTable

__all__ = ["postgres"]
MONTH_US = 30 * MICROS_PER_DAY


class Machine:
    """A wall clock that can be set, and elapsed time that cannot."""

    def __init__(self) -> None:
        self.wall_us, self.elapsed_us = NOW_US, 0
        self.clock = MachineClock(lambda: self.wall_us * 1_000, lambda: self.elapsed_us * 1_000)

    def wait(self, micros: int) -> None:
        self.wall_us += micros
        self.elapsed_us += micros


def watcher(
    engine: Engine,
    clock: SettableClock | MachineClock,
    log: FilteringBoundLogger,
    machine_clock: Clock | None = None,
) -> ScheduleWatcher:
    return ScheduleWatcher(
        job=RETRAINING,
        table=PocketTable(ScheduleRow("12H", is_enabled=True, anchor_us=NOW_US)),
        engine=engine,
        clock=clock,
        log=log,
        catch_up_seconds=7 * 86_400.0,
        machine_clock=machine_clock,
    )


def seconds_of(machine: Machine, looker: ScheduleWatcher, seconds: int) -> None:
    for _ in range(seconds):
        machine.wait(MICROS_PER_SECOND)
        looker.tick()


def test_thirty_days_ahead_for_eight_seconds_cost_no_due_instant(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    machine = Machine()
    looker = watcher(engine, machine.clock, log)
    looker.tick()
    machine.wall_us += MONTH_US
    seconds_of(machine, looker, 8)
    machine.wall_us -= MONTH_US
    seconds_of(machine, looker, 40)

    assert list_runs(engine) == []
    assert read_schedules(engine)[0].next_due_us == NOW_US + 12 * MICROS_PER_HOUR
    machine.wait(12 * MICROS_PER_HOUR)
    looker.tick()
    assert [run.status for run in list_runs(engine)] == [RunStatus.REQUESTED]


def test_what_was_answered_ahead_of_time_is_undone_when_the_clock_comes_back(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    clock = SettableClock()
    looker = watcher(engine, clock, log)
    looker.tick()
    clock.move(MONTH_US)
    looker.tick()
    assert len(list_runs(engine, 100)) == 60
    clock.move(-MONTH_US + 60 * MICROS_PER_SECOND)
    with capture_logs() as logs:
        looker.tick()

    assert list_runs(engine) == []
    assert next(one["undone"] for one in logs if one["event"] == "schedule_taken_back") == 60
    stored = read_schedules(engine)[0]
    assert stored.next_due_us == NOW_US + 12 * MICROS_PER_HOUR
    clock.move(12 * MICROS_PER_HOUR)
    looker.tick()
    [run] = list_runs(engine)
    assert (run.status, run.scheduled_for) == (
        RunStatus.REQUESTED,
        isoformat(NOW_US + 12 * MICROS_PER_HOUR),
    )


def test_a_run_that_has_begun_stays_and_answers_its_instant(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    clock = SettableClock()
    looker = watcher(engine, clock, log)
    looker.tick()
    clock.move(MONTH_US)
    looker.tick()
    claimed = claim_next(engine)
    assert claimed is not None
    clock.move(-MONTH_US)
    looker.tick()
    assert [run.run_id for run in list_runs(engine)] == [claimed.run_id]


def test_rows_that_people_asked_for_are_not_undone(
    engine: Engine, log: FilteringBoundLogger
) -> None:
    clock = SettableClock()
    looker = watcher(engine, clock, log)
    looker.tick()
    by_hand = request_run(engine, RETRAINING, NOW_US + MONTH_US, "operator")
    clock.move(MONTH_US + MICROS_PER_HOUR)
    looker.tick()
    clock.move(-MONTH_US)
    looker.tick()
    assert [run.run_id for run in list_runs(engine)] == [by_hand]


def test_a_clock_that_is_off_the_databases_decides_nothing(
    postgres: Postgres, log: FilteringBoundLogger
) -> None:
    engine = connect(postgres.new_database())
    migrate(engine)
    with capture_logs() as logs:
        looker = watcher(engine, SettableClock(), structlog.get_logger())
        looker.tick()
        looker.tick()
    assert read_schedules(engine) == []
    assert [entry["event"] for entry in logs] == ["right_time_unavailable"]
    assert "off the database's" in logs[0]["reason"]
    engine.dispose()


def test_a_schedule_by_another_clock_is_followed_where_the_machines_is_right(
    postgres: Postgres, log: FilteringBoundLogger
) -> None:
    engine = connect(postgres.new_database())
    migrate(engine)
    watcher(engine, SettableClock(), log, SystemClock()).tick()
    [schedule] = read_schedules(engine)
    assert schedule.job == RETRAINING
    engine.dispose()


@pytest.fixture
def ahead(engine: Engine) -> Engine:
    """A run and a duty whose leases were written by a clock a month ahead; their owners died."""
    run_id = request_run(engine, RETRAINING, NOW_US, "test")
    assert claim_next(engine, "gone") is not None
    assert take_leadership(engine, "rollout", "gone", 15.0) is not None
    with engine.begin() as connection:
        table = model_training_runs
        connection.execute(
            table.update().where(table.c.runid == run_id)
            .values(leaseuntil=table.c.leaseuntil + MONTH_US)
        )  # fmt: skip
        connection.execute(duties.update().values(leaseuntil=duties.c.leaseuntil + MONTH_US))
    return engine


def test_a_lease_that_ends_in_a_month_was_written_by_a_wrong_clock_and_is_over(
    ahead: Engine,
) -> None:
    assert LONGEST_WAIT_US < MONTH_US
    taken = claim_next(ahead, "alive")
    assert taken is not None
    assert taken.attempts == 2
    assert take_leadership(ahead, "rollout", "alive", 15.0) is not None


def test_a_pause_before_the_next_attempt_is_never_a_month(ahead: Engine) -> None:
    with ahead.begin() as connection:
        values = {"status": "REQUESTED", "leaseuntil": None, "notbefore": 2 * NOW_US}
        connection.execute(model_training_runs.update().values(values))
    assert claim_next(ahead, "alive") is not None


def test_ticks_that_wait_for_a_day_that_was_set_back_are_due_at_once(
    log: FilteringBoundLogger,
) -> None:
    scheduler = build_scheduler([PeriodicTask("one", lambda: None, 5.0)], log)
    now = datetime.now(UTC)
    job = scheduler.add_job(lambda: None, Pause(5.0), id="two", next_run_time=now)
    assert wake_lost_ticks(scheduler, now - timedelta(days=30)) == ["one", "two"]
    assert job.next_run_time == now - timedelta(days=30)
    assert wake_lost_ticks(scheduler, now - timedelta(days=30)) == []


def test_a_clock_that_ran_ahead_fires_a_tick_once_and_not_for_every_instant_between() -> None:
    pause, later = Pause(1.0), datetime(2027, 1, 1, tzinfo=UTC)
    assert pause.get_next_fire_time(later - timedelta(days=30), later) == later + timedelta(
        seconds=1
    )
