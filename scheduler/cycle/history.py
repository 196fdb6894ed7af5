"""Facts of earlier runs that a judgement needs: comparison rounds spent, and drift found."""

from sqlalchemy import Engine, select

from scheduler.gates import METRICS
from scheduler.schedule.jobs import DRIFT, RETRAINING
from scheduler.statistics.verdict_numbers import COMPARED
from shared.clock import isoformat, to_datetime
from shared.tables.engine import database_errors
from shared.tables.schema import model_training_runs as table

ALARM = "alarm"


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
