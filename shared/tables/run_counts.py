"""Counts of runs by outcome, from the database: correct after any restart, on any machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, case, func, select
from sqlalchemy.sql.elements import ColumnElement

from shared.tables.engine import database_errors
from shared.tables.runs import RunStatus
from shared.tables.schema import model_training_runs as table

# A refused candidate and a fresh champion count as success: the run has done its work.
DONE = tuple(
    status.value
    for status in (
        RunStatus.SUCCEEDED,
        RunStatus.REFUSED,
        RunStatus.ON_TRIAL,
        RunStatus.NOT_DUE,
    )
)
NOT_DONE = (RunStatus.FAILED.value, RunStatus.SKIPPED.value, RunStatus.MISSED.value)


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Counts of one job's runs.

    Attributes:
        by_status: how many rows have each status.
        last_done: when one was last finished as it should, RFC 3339.
        due_since_done: due instants after the last that was done, and not done themselves.
    """

    job: str
    by_status: Mapping[RunStatus, int]
    last_done: str | None
    due_since_done: int


def count_runs(engine: Engine, requested_by: str) -> list[JobCounts]:
    """Every job that ever had a run; `requested_by` marks rows that a schedule wrote.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    by_status = select(table.c.jobname, table.c.status, func.count()).group_by(
        table.c.jobname, table.c.status
    )
    latest = select(
        table.c.jobname,
        func.max(_if_done(table.c.scheduledfor)).label("due"),
        func.max(_if_done(table.c.finishedat)).label("finished"),
    ).group_by(table.c.jobname)
    with database_errors("count the runs"), engine.connect() as connection:
        counted = connection.execute(by_status).all()
        done = {row.jobname: row for row in connection.execute(latest)}
        since = {
            job: connection.scalar(
                select(func.count()).where(
                    table.c.jobname == job,
                    table.c.requestedby == requested_by,
                    table.c.status.in_(NOT_DONE),
                    table.c.scheduledfor > (row.due or ""),
                )
            )
            for job, row in done.items()
        }
    return [_counts(job, counted, row.finished, since[job] or 0) for job, row in done.items()]


def _if_done(column: ColumnElement[str]) -> ColumnElement[str | None]:
    return case((table.c.status.in_(DONE), column), else_=None)


def _counts(
    job: str, counted: Sequence[Row[*tuple[Any, ...]]], last_done: str | None, since: int
) -> JobCounts:
    mine = {RunStatus(status): number for name, status, number in counted if name == job}
    return JobCounts(job, mine, last_done, since)
