"""Facts of earlier runs, from the database: comparisons, drift, and what was asked for by drift."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from scheduler.decision import METRICS
from scheduler.drift.alarm import ALARM, Retrainings
from scheduler.schedule.jobs import DRIFT, RETRAINING
from scheduler.statistics.verdict_numbers import COMPARED
from shared.clock import isoformat, to_datetime, to_micros
from shared.tables.engine import database_errors
from shared.tables.runs import UNFINISHED
from shared.tables.schema import model_training_runs as table

REQUESTED_BY = DRIFT
"""The origin of a retraining that was requested because of drift."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that came to a result; `found` is the JSON of its finding."""

    finished_at: str
    found: dict[str, Any]


def compared_this_year(engine: Engine, as_of_us: int) -> int:
    """Runs due in the calendar year (UTC) of `as_of_us` that compared a candidate.

    A run that never got to a comparison has spent nothing of the year's error.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(table.c.verdicts).where(
        table.c.jobname == RETRAINING,
        table.c.scheduledfor.startswith(f"{to_datetime(as_of_us).year:04d}-"),
        table.c.verdicts.is_not(None),
    )
    with database_errors("count this year's comparisons"), engine.connect() as connection:
        return sum(_compared(verdicts) for verdicts in connection.scalars(query))


def has_drifted(engine: Engine, since_us: int | None, until_us: int | None = None) -> bool:
    """True if the newest finished drift check raised the alarm.

    An alarm from before `since_us`, when the champion was made, was about an older model; one
    after `until_us` is about rows that the run does not look at.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = (
        select(table.c.metrics)
        .where(
            table.c.jobname == DRIFT,
            table.c.finishedat.is_not(None),
            table.c.metrics.is_not(None),
            table.c.scheduledfor > ("" if since_us is None else isoformat(since_us)),
            *([] if until_us is None else [table.c.scheduledfor <= isoformat(until_us)]),
        )
        .order_by(table.c.runid.desc())
        .limit(1)
    )
    with database_errors("read the newest drift check"), engine.connect() as connection:
        metrics = connection.scalar(query)
    return isinstance(metrics, dict) and metrics.get(ALARM) is True


def _compared(verdicts: object) -> bool:
    if not isinstance(verdicts, list):
        return False
    return any(
        verdict.get("gate") == METRICS and verdict.get("numbers", {}).get(COMPARED) is True
        for verdict in verdicts
    )


def newest_check(engine: Engine) -> Checked | None:
    """The newest check that could say anything; None before the first.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = (
        select(table.c.finishedat, table.c.metrics)
        .where(table.c.jobname == DRIFT, table.c.finishedat.is_not(None))
        .where(table.c.metrics.is_not(None))
        .order_by(table.c.runid.desc())
        .limit(1)
    )
    with database_errors("read the newest drift check"), engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Checked(row.finishedat, row.metrics)


def read_retrainings(engine: Engine) -> Retrainings:
    """Retrainings asked for because of drift, from the database, so that they survive restarts.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    newest = (
        select(table.c.runid, table.c.scheduledfor)
        .where(table.c.jobname == RETRAINING)
        .order_by(table.c.runid.desc())
        .limit(1)
    )
    with database_errors("read earlier retrainings"), engine.connect() as connection:
        unfinished = connection.scalar(newest.where(table.c.status.in_(UNFINISHED)))
        asked = connection.execute(newest.where(table.c.requestedby == REQUESTED_BY)).one_or_none()
    if asked is None:
        return Retrainings(unfinished)
    asked_us = to_micros(datetime.fromisoformat(asked.scheduledfor))
    return Retrainings(unfinished, asked.runid, asked_us)
