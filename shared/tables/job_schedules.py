"""The schedule of each job as it is in force, and the rows of its due instants.

A due instant is answered in the transaction that moves the mark past it, so a scheduler may
die anywhere, and two may look at once: no instant is lost and none has two rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select

from shared.clock import SystemClock, isoformat
from shared.tables.engine import database_errors
from shared.tables.locks import lock_for_writing
from shared.tables.runs import UNFINISHED, RunStatus
from shared.tables.schema import job_schedules as table
from shared.tables.schema import model_training_runs as runs

RETRAINING = "retraining"
"""The job that makes candidates; the only one that people pause and resume."""


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """One row of JobSchedules; `_us` are microseconds.

    Attributes:
        answered_to_us: every due instant up to here has its row.
        checked_at_us: when a scheduler last looked.
        problem: what is wrong with the configuration, if the last good one stays in force.
    """

    job: str
    interval: str
    is_enabled: bool
    anchor_us: int
    in_force_since_us: int
    answered_to_us: int
    next_due_us: int | None
    checked_at_us: int
    problem: str | None = None

    @property
    def disabled_word(self) -> str:
        """The word in place of a next due instant: paused by people, or off by its setting."""
        return "paused" if self.job == RETRAINING else "off"


@dataclass(frozen=True, slots=True)
class ScheduleAnswer:
    """The outcome of one due instant: a run is requested, or it is closed without one."""

    due_us: int
    status: RunStatus
    code: str | None = None
    message: str | None = None


def read_schedules(engine: Engine) -> list[JobSchedule]:
    """Every schedule there is.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    with database_errors("read JobSchedules"), engine.connect() as connection:
        return [_schedule(row) for row in connection.execute(select(table))]


def read_schedule(connection: Connection, job: str) -> JobSchedule | None:
    row = connection.execute(select(table).where(table.c.jobname == job)).one_or_none()
    return None if row is None else _schedule(row)


@contextmanager
def schedule_transaction(engine: Engine) -> Iterator[Connection]:
    """The only writer for as long as the block lasts.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    with database_errors("write JobSchedules"), engine.begin() as connection:
        lock_for_writing(connection)
        yield connection


def write_schedule(connection: Connection, schedule: JobSchedule) -> None:
    values = dict(zip(table.columns.keys(), astuple(schedule), strict=True))
    values["isenabled"] = int(schedule.is_enabled)
    connection.execute(delete(table).where(table.c.jobname == schedule.job))
    connection.execute(insert(table).values(values))


def unfinished_run(connection: Connection, job: str) -> int | None:
    """The newest run of a job that is requested or in progress."""
    query = select(func.max(runs.c.runid)).where(
        runs.c.jobname == job, runs.c.status.in_(UNFINISHED)
    )
    found: int | None = connection.scalar(query)
    return found


def write_answers(
    connection: Connection, job: str, answers: Sequence[ScheduleAnswer], requested_by: str
) -> None:
    """One row a due instant; one that was requested by hand keeps its row."""
    texts = [isoformat(answer.due_us) for answer in answers]
    known = set(
        connection.scalars(
            select(runs.c.scheduledfor).where(runs.c.jobname == job, runs.c.scheduledfor.in_(texts))
        )
    )
    now = isoformat(SystemClock().now_us())
    rows = [
        {
            "rundate": now,
            "jobname": job,
            "scheduledfor": due,
            "status": answer.status.value,
            "statuscode": answer.code,
            "statusmessage": answer.message,
            "requestedby": requested_by,
            "finishedat": None if answer.status is RunStatus.REQUESTED else now,
        }
        for due, answer in zip(texts, answers, strict=True)
        if due not in known
    ]
    if rows:
        connection.execute(insert(runs), rows)


def undo_answers(connection: Connection, job: str, after_us: int, requested_by: str) -> int:
    """Delete what a clock that ran ahead wrote of later instants; returns how many rows.

    A run that has begun, or has something to show, stays: it is the answer to its instant.
    """
    not_begun = (RunStatus.REQUESTED.value, RunStatus.MISSED.value, RunStatus.SKIPPED.value)
    gone = connection.execute(
        delete(runs).where(
            runs.c.jobname == job,
            runs.c.requestedby == requested_by,
            runs.c.status.in_(not_begun),
            runs.c.startedat.is_(None),
            runs.c.scheduledfor > isoformat(after_us),
        )
    )
    return gone.rowcount


def last_started(engine: Engine, job: str) -> str | None:
    """The newest start of a run of this job.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(func.max(runs.c.startedat)).where(runs.c.jobname == job)
    with database_errors("read ModelTrainingRuns"), engine.connect() as connection:
        started: str | None = connection.scalar(query)
    return started


def _schedule(row: Row[*tuple[Any, ...]]) -> JobSchedule:
    # the table's columns and the fields of JobSchedule have the same order
    schedule = JobSchedule(*row)
    return replace(schedule, is_enabled=bool(schedule.is_enabled))
