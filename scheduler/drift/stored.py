"""Reads stored runs: the newest drift check, and when drift last requested a retraining."""

from datetime import datetime

from sqlalchemy import Engine, select

from scheduler.drift.alarm import Checked, Retrainings
from scheduler.schedule.jobs import DRIFT, RETRAINING
from shared.clock import to_micros
from shared.tables.engine import database_errors
from shared.tables.runs import UNFINISHED
from shared.tables.schema import model_training_runs as table

REQUESTED_BY = DRIFT


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
