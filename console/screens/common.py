"""Reads that several screens share."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from console.files import ModelFiles
from console.screen import Reading
from shared.contracts.health import Health
from shared.contracts.http import NO_MODEL_CODE
from shared.contracts.models import CurrentModel
from shared.tables.job_schedules import JobSchedule
from shared.tables.schema import job_schedules, model_training_runs, retraining_config


def current_model(reading: Reading) -> CurrentModel | None:
    """The live version as the API reports it; None: none yet, or the API does not answer."""
    return reading.api("/current_model", CurrentModel, absent=NO_MODEL_CODE)


def health(reading: Reading) -> Health | None:
    return reading.api("/api/health", Health, (200, 503))


def schedules(reading: Reading) -> list[JobSchedule]:
    """The schedule of each job as it is in force."""
    return reading.rows("schedules", _schedules)


def _schedules(connection: Connection) -> list[JobSchedule]:
    return [
        JobSchedule(*row[:3], *row[3:])
        for row in connection.execute(select(job_schedules).limit(50))
    ]


def configuration(reading: Reading) -> dict[str, Any]:
    """The row of RetrainingConfig; empty: there is none yet."""
    return reading.database("configuration", _configuration, {})


def _configuration(connection: Connection) -> dict[str, Any]:
    row = connection.execute(select(retraining_config).limit(1)).mappings().one_or_none()
    return {} if row is None else dict(row)


LIGHT_COLUMNS = (
    "runid",
    "jobname",
    "scheduledfor",
    "status",
    "statuscode",
    "statusmessage",
    "requestedby",
    "startedat",
    "finishedat",
    "modelversion",
    "championversion",
    "datasize",
    "attempts",
)
"""Columns of a run without its verdicts, metrics and steps, which may be large."""


def newest_of(job: str, limit: int) -> ColumnElement[bool]:
    """True for the newest runs of a job.

    They are found in the index alone. With other columns in the same select the database would
    sort every run of the job, and each may hold many kilobytes: 120 ms for 10,000 runs, not 2.
    """
    table = model_training_runs
    ids = select(table.c.runid).where(table.c.jobname == job).order_by(table.c.runid.desc())
    return table.c.runid.in_(ids.limit(limit))


def newest_runs(reading: Reading, job: str | None, limit: int = 10) -> list[dict[str, Any]]:
    """The newest runs of a job, newest first."""

    def query(connection: Connection) -> list[dict[str, Any]]:
        table = model_training_runs
        wanted = select(*(table.c[name] for name in LIGHT_COLUMNS))
        if job is not None:
            wanted = wanted.where(newest_of(job, limit))
        ordered = wanted.order_by(table.c.runid.desc()).limit(limit)
        return [dict(row) for row in connection.execute(ordered).mappings()]

    return reading.rows(("newest_runs", job, limit), query)


def newest_requests(reading: Reading, job: str, limit: int) -> list[dict[str, Any]]:
    """The newest runs of a job with what they were asked to do and their steps, newest first."""

    def query(connection: Connection) -> list[dict[str, Any]]:
        table = model_training_runs
        columns = (*LIGHT_COLUMNS, "arguments", "steps", "metrics")
        wanted = select(*(table.c[name] for name in columns)).where(newest_of(job, limit))
        ordered = wanted.order_by(table.c.runid.desc())
        return [dict(row) for row in connection.execute(ordered).mappings()]

    return reading.rows(("requests", job, limit), query)


def live_version(reading: Reading) -> str | None:
    """The live version, from the registry's own file where the API does not answer."""
    current = current_model(reading)
    if current is not None:
        return current.version
    return reading.files("current", ModelFiles.current_version, None)
