"""Where schedules come from: RetrainingConfig for retraining, a setting for what is fixed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Engine, select

from scheduler.schedule.jobs import RETRAINING
from shared.clock import to_datetime, to_micros
from shared.tables.config import read_retraining_config, record_last_next
from shared.tables.engine import database_errors
from shared.tables.runs import request_run
from shared.tables.schema import retraining_config

REQUESTED_BY = "schedule"


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """What the table says now; instants in microseconds, None where empty."""

    interval: str
    is_enabled: bool
    anchor_us: int
    last_run_us: int | None = None
    next_run_us: int | None = None


class ScheduleTable(Protocol):
    """Where the schedule is read from and written back to.

    All methods raise DataUnavailable while the database is down.
    """

    def read(self) -> ScheduleRow: ...

    def write_back(self, last_run_us: int | None, next_run_us: int | None) -> None: ...

    def request(self, due_us: int) -> int: ...


class DatabaseScheduleTable:
    """The table in the database both services share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self) -> ScheduleRow:
        config = read_retraining_config(self._engine)
        return ScheduleRow(
            interval=config.interval,
            is_enabled=config.is_enabled,
            anchor_us=self._anchor_us(config.config_id),
            last_run_us=_micros(config.last_run),
            next_run_us=_micros(config.next_run),
        )

    def write_back(self, last_run_us: int | None, next_run_us: int | None) -> None:
        record_last_next(self._engine, _moment(last_run_us), _moment(next_run_us))

    def request(self, due_us: int) -> int:
        return request_run(self._engine, RETRAINING, due_us, REQUESTED_BY)

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

    def __init__(self, engine: Engine, job: str, interval: str) -> None:
        self._engine = engine
        self._job = job
        self._interval = interval

    def read(self) -> ScheduleRow:
        return ScheduleRow(self._interval, is_enabled=True, anchor_us=0)

    def write_back(self, last_run_us: int | None, next_run_us: int | None) -> None:
        """Nobody reads them from a table."""

    def request(self, due_us: int) -> int:
        return request_run(self._engine, self._job, due_us, REQUESTED_BY)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _moment(instant_us: int | None) -> datetime | None:
    return None if instant_us is None else to_datetime(instant_us)
