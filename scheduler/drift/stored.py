"""What stored runs say about retraining for drift: the memory of the cool-down."""

from datetime import datetime

from sqlalchemy import Engine, select

from scheduler.drift.alarm import Retrainings
from scheduler.schedule.jobs import DRIFT, RETRAINING
from shared.clock import to_micros
from shared.tables.engine import database_errors
from shared.tables.runs import UNFINISHED
from shared.tables.schema import model_training_runs as table

REQUESTED_BY = DRIFT


def read_retrainings(engine: Engine) -> Retrainings:
    """From the database, so that a restart forgets nothing.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    newest = select(table.c.runid, table.c.scheduledfor).where(table.c.jobname == RETRAINING)
    newest = newest.order_by(table.c.runid.desc()).limit(1)
    with database_errors("read earlier retrainings"), engine.connect() as connection:
        unfinished = connection.scalar(newest.where(table.c.status.in_(UNFINISHED)))
        asked = connection.execute(newest.where(table.c.requestedby == REQUESTED_BY)).one_or_none()
    if asked is None:
        return Retrainings(unfinished)
    asked_us = to_micros(datetime.fromisoformat(asked.scheduledfor))
    return Retrainings(unfinished, asked.runid, asked_us)
