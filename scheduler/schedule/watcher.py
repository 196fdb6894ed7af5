"""Follows one job's schedule: what it says is in force at the next tick, bad values never are."""

import threading

from structlog.typing import FilteringBoundLogger

from scheduler.schedule.jobs import RETRAINING
from scheduler.schedule.outage import Outage
from scheduler.schedule.plan import Plan, advance, make_plan
from scheduler.schedule.table import ScheduleRow, ScheduleTable
from shared.clock import Clock, isoformat
from shared.errors import DataUnavailable
from shared.intervals import Interval

DEFAULT_INTERVAL = Interval.parse("1W")


class ScheduleWatcher:
    """Reads the table every few seconds, asks for runs that are due, writes back the truth.

    While the database is down, or holds an interval that does not parse, the last good
    configuration stays in force.
    """

    def __init__(
        self,
        table: ScheduleTable,
        clock: Clock,
        log: FilteringBoundLogger,
        job: str = RETRAINING,
    ) -> None:
        self._table = table
        self._job = job
        self._clock = clock
        self._log = log
        self._database = Outage("database", log)
        self._plan: Plan | None = None
        self._bad_interval: str | None = None
        self._ran_us: int | None = None
        self._lock = threading.Lock()

    @property
    def plan(self) -> Plan | None:
        """What is in force; None until the table could be read for the first time."""
        return self._plan

    def ran(self, started_us: int) -> None:
        """A run has started; LastRun follows at the next tick."""
        with self._lock:
            self._ran_us = started_us

    def tick(self) -> None:
        try:
            row = self._table.read()
            self._follow(row)
            self._request_if_due()
            self._write_back(row)
        except DataUnavailable as error:
            self._database.away(error)
            return
        self._database.back()

    def _follow(self, row: ScheduleRow) -> None:
        interval = self._parse(row.interval)
        plan = self._plan
        if plan and plan.same_schedule(interval, row.anchor_us, is_enabled=row.is_enabled):
            return
        self._plan = make_plan(
            interval,
            row.anchor_us,
            self._clock.now_us(),
            is_enabled=row.is_enabled,
            # only what an earlier process promised is owed, not what a change made obsolete
            promised_us=row.next_run_us if plan is None else None,
        )
        self._log.info(
            "schedule_in_force",
            job=self._job,
            interval=interval.text,
            is_enabled=row.is_enabled,
            next_run=_shown(self._plan.next_us),
        )

    def _parse(self, text: str) -> Interval:
        try:
            interval = Interval.parse(text)
        except ValueError as error:
            last_good = self._plan.interval if self._plan else DEFAULT_INTERVAL
            if self._bad_interval != text:
                self._bad_interval = text
                self._log.error("interval_invalid", reason=str(error), in_force=last_good.text)
            return last_good
        self._bad_interval = None
        return interval

    def _request_if_due(self) -> None:
        if self._plan is None:
            return
        later, due_us = advance(self._plan, self._clock.now_us())
        if due_us is None:
            return
        run_id = self._table.request(due_us)
        # only now: had the database been down, the same instant would still be owed
        self._plan = later
        self._log.info("run_due", job=self._job, run_id=run_id, scheduled_for=isoformat(due_us))

    def _write_back(self, row: ScheduleRow) -> None:
        with self._lock:
            last_run_us = max(filter(None, (self._ran_us, row.last_run_us)), default=None)
        next_us = self._plan.next_us if self._plan else None
        if (last_run_us, next_us) != (row.last_run_us, row.next_run_us):
            self._table.write_back(last_run_us, next_us)


def _shown(instant_us: int | None) -> str | None:
    return None if instant_us is None else isoformat(instant_us)
