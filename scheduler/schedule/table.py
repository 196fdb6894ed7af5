"""Sources of schedules: RetrainingConfig for retraining, a setting for what is fixed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Engine, select

from scheduler.schedule.jobs import RETRAINING
from shared.clock import to_datetime, to_micros
from shared.tables.config import read_retraining_config, record_last_next
from shared.tables.engine import database_errors
from shared.tables.job_schedules import last_started
from shared.tables.schema import retraining_config


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """The configured schedule; `anchor_us` is where its grid begins."""

    interval: str
    is_enabled: bool
    anchor_us: int


class ScheduleTable(Protocol):
    """The source of a schedule, and the place of its results for people.

    All methods raise DataUnavailable while the database is down.
    """

    def read(self) -> ScheduleRow: ...

    def show(self, next_due_us: int | None) -> None:
        """Tell people when the last run was and when the next one is due."""
        ...


class DatabaseScheduleTable:
    """RetrainingConfig, in the database both services share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self) -> ScheduleRow:
        config = read_retraining_config(self._engine)
        return ScheduleRow(config.interval, config.is_enabled, self._anchor_us(config.config_id))

    def show(self, next_due_us: int | None) -> None:
        """LastRun and NextRun, from what the database itself knows; written when they change."""
        config = read_retraining_config(self._engine)
        started = last_started(self._engine, RETRAINING)
        last_run = None if started is None else datetime.fromisoformat(started)
        next_run = None if next_due_us is None else to_datetime(next_due_us)
        if (last_run, next_run) != (config.last_run, config.next_run):
            record_last_next(self._engine, last_run, next_run)

    def _anchor_us(self, config_id: int) -> int:
        """CreatedAt: it stays when people change the interval, so the grid stays too."""
        query = select(retraining_config.c.createdat).where(
            retraining_config.c.configid == config_id
        )
        with database_errors("read RetrainingConfig"), self._engine.connect() as connection:
            created = connection.scalar(query)
        try:
            moment = datetime.fromisoformat(str(created))
        except ValueError:
            return 0
        return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


class FixedSchedule:
    """A job whose interval is a setting; its grid starts at the epoch, so all agree on it."""

    def __init__(self, interval: str | None) -> None:
        self._interval = interval

    def read(self) -> ScheduleRow:
        return ScheduleRow(self._interval or "1D", self._interval is not None, anchor_us=0)

    def show(self, next_due_us: int | None) -> None:
        """See JobSchedules."""
