"""Follows one job's schedule: valid changes apply at the next tick, invalid ones never."""

from dataclasses import replace

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.schedule.outage_log import OutageLog
from scheduler.schedule.plan import ScheduleStep, answer, follow, is_from_the_future, shown
from scheduler.schedule.table import ScheduleRow, ScheduleTable
from shared.clock import MICROS_PER_SECOND, Clock, isoformat
from shared.errors import DataUnavailable, UnderstudyError
from shared.tables.engine import database_errors
from shared.tables.job_schedules import (
    JobSchedule,
    ScheduleAnswer,
    read_schedule,
    schedule_transaction,
    undo_answers,
    unfinished_run,
    write_answers,
    write_schedule,
)
from shared.tables.locks import ahead_of_database_us
from shared.tables.runs import RunStatus

REQUESTED_BY = "schedule"
# interval at which a scheduler records that it has checked the schedule
CHECKED_EVERY_US = 10 * MICROS_PER_SECOND


# Machines with NTP differ by less; leap seconds and slow responses stay below as well.
MOST_AHEAD_US = 300 * MICROS_PER_SECOND


class ClockDisagrees(UnderstudyError):
    """Raised when it is not known what time it is."""


class ScheduleWatcher:
    """Looks every few seconds; the state is in the database, so any scheduler can go on.

    While the database is down nothing is lost: what was due meanwhile is answered afterwards.

    `machine_clock`: compared with the database's, where schedules run by another clock than the
    machine's (rigs whose days take seconds).
    """

    def __init__(
        self,
        *,
        job: str,
        table: ScheduleTable,
        engine: Engine,
        clock: Clock,
        log: FilteringBoundLogger,
        catch_up_seconds: float,
        machine_clock: Clock | None = None,
    ) -> None:
        self._job = job
        self._table = table
        self._engine = engine
        self._clock = clock
        self._machine_clock = machine_clock or clock
        self._log = log.bind(job=job)
        self._window_us = round(catch_up_seconds * MICROS_PER_SECOND)
        self._database = OutageLog("database", log)
        self._right_time = OutageLog("right_time", log)
        self._told: tuple[object, ...] = ()

    def tick(self) -> None:
        try:
            row = self._table.read()
            step = self._look(row)
            self._table.show(step.schedule.next_due_us)
        except DataUnavailable as error:
            self._database.away(error)
            return
        except ClockDisagrees as error:
            self._right_time.away(error)
            return
        self._database.back()
        self._right_time.back()
        self._log_step(step)

    def _look(self, row: ScheduleRow) -> ScheduleStep:
        """Looks without the write lock first: usually nothing is due."""
        with database_errors("read JobSchedules"), self._engine.connect() as connection:
            stored = read_schedule(connection, self._job)
            now_us = self._clock.now_us()
            machine_us = self._machine_clock.now_us()
            self._check_clock(ahead_of_database_us(connection, machine_us))
            step = self._step(row, stored, now_us, None)
        if stored is not None and not _is_worth_writing(stored, step):
            return step
        with schedule_transaction(self._engine) as connection:
            # another scheduler may have acted meanwhile, so everything is read again
            stored = read_schedule(connection, self._job)
            step = self._step(row, stored, now_us, unfinished_run(connection, self._job))
            if step.undo_after_us is not None:
                undone = undo_answers(connection, self._job, step.undo_after_us, REQUESTED_BY)
                self._log.warning("schedule_taken_back", undone=undone, to=isoformat(now_us))
            write_answers(connection, self._job, step.answers, REQUESTED_BY)
            write_schedule(connection, step.schedule)
        return step

    def _check_clock(self, ahead_us: int) -> None:
        """A machine whose clock is wrong writes down nothing that others would have to undo.

        Raises:
            ClockDisagrees: ours and the database's differ too much to know what is due.
        """
        if abs(ahead_us) > MOST_AHEAD_US:
            seconds = ahead_us / MICROS_PER_SECOND
            raise ClockDisagrees(f"this machine's clock is {seconds:+,.0f} s off the database's")

    def _step(
        self, row: ScheduleRow, stored: JobSchedule | None, now_us: int, busy_run: int | None
    ) -> ScheduleStep:
        schedule = follow(self._job, row, stored, now_us)
        step = answer(schedule, now_us, self._window_us, busy_run)
        if stored is not None and is_from_the_future(stored, now_us):
            return replace(step, is_news=True, undo_after_us=now_us)
        return step

    def _log_step(self, step: ScheduleStep) -> None:
        schedule = step.schedule
        in_force = (schedule.interval, schedule.is_enabled, schedule.anchor_us, schedule.problem)
        if in_force != self._told:
            self._told = in_force
            self._log.info(
                "schedule_in_force",
                interval=schedule.interval,
                is_enabled=schedule.is_enabled,
                next_run=schedule.next_due_us and isoformat(schedule.next_due_us),
            )
            if schedule.problem is not None:
                self._log.error("interval_invalid", reason=schedule.problem)
        if step.answers:
            self._tell_answers(step.answers)

    def _tell_answers(self, answers: tuple[ScheduleAnswer, ...]) -> None:
        missed = [one for one in answers if one.status is RunStatus.MISSED]
        if missed:
            self._log.warning("runs_missed", count=len(missed), **shown(missed))
        latest = answers[-1]
        due = isoformat(latest.due_us)
        if latest.status is RunStatus.REQUESTED:
            self._log.info("run_due", scheduled_for=due)
        elif latest.status is RunStatus.SKIPPED:
            self._log.warning("run_skipped", scheduled_for=due, reason=latest.message)


def _is_worth_writing(stored: JobSchedule, step: ScheduleStep) -> bool:
    schedule = step.schedule
    if step.is_news or schedule.checked_at_us - stored.checked_at_us >= CHECKED_EVERY_US:
        return True
    return (stored.interval, stored.is_enabled, stored.anchor_us, stored.problem) != (
        schedule.interval,
        schedule.is_enabled,
        schedule.anchor_us,
        schedule.problem,
    )
