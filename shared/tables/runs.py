"""Training runs: asked for by one process, claimed and finished by another, kept for good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from shared.clock import SystemClock, isoformat
from shared.tables.engine import database_errors
from shared.tables.locks import lock_for_writing
from shared.tables.schema import model_training_runs as table


class RunStatus(StrEnum):
    """REQUESTED -> RUNNING -> one of the others, which are final.

    REFUSED: the candidate was trained, but the gates kept the champion.
    SKIPPED: nothing to do, so nothing was trained.
    """

    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Run:
    """One row of ModelTrainingRuns; instants are RFC 3339 text."""

    run_id: int
    run_date: str
    job: str
    scheduled_for: str
    status: RunStatus
    code: str | None
    message: str | None
    requested_by: str | None
    started_at: str | None
    finished_at: str | None
    model_version: str | None
    champion_version: str | None
    data_size: int | None
    metrics: Any
    verdicts: Any
    decision: Any
    steps: Any


def request_run(engine: Engine, job: str, scheduled_for_us: int, requested_by: str) -> int:
    """Ask for a run; asking twice for the same due instant names the same run.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    due = isoformat(scheduled_for_us)
    same = select(table.c.runid).where(table.c.jobname == job, table.c.scheduledfor == due)
    with database_errors("request a run"), engine.begin() as connection:
        lock_for_writing(connection)
        known: int | None = connection.scalar(same)
        if known is not None:
            return known
        row = {
            "rundate": _now(),
            "jobname": job,
            "scheduledfor": due,
            "status": RunStatus.REQUESTED.value,
            "requestedby": requested_by,
        }
        run_id: int = connection.execute(
            insert(table).values(row).returning(table.c.runid)
        ).scalar_one()
    return run_id


def claim_next(engine: Engine) -> Run | None:
    """Start the oldest requested run; of two callers at once only one gets it.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    oldest = (
        select(table.c.runid)
        .where(table.c.status == RunStatus.REQUESTED.value)
        .order_by(table.c.runid)
        .limit(1)
    )
    with database_errors("look for requested runs"):
        # Polled every second or two: look without a lock first.
        with engine.connect() as connection:
            if connection.scalar(oldest) is None:
                return None
        with engine.begin() as connection:
            lock_for_writing(connection)
            return _start(connection, connection.scalar(oldest))


def finish(
    engine: Engine,
    run_id: int,
    status: RunStatus,
    code: str,
    message: str,
    *,
    model_version: str | None = None,
    champion_version: str | None = None,
    data_size: int | None = None,
    metrics: Mapping[str, Any] | None = None,
    verdicts: Sequence[Any] | None = None,
    decision: Mapping[str, Any] | None = None,
    steps: Sequence[Any] | None = None,
) -> None:
    """Record how a run ended, with whatever it has to show.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    shown = {
        "modelversion": model_version,
        "championversion": champion_version,
        "datasize": data_size,
        "metrics": metrics,
        "verdicts": verdicts,
        "decision": decision,
        "steps": steps,
    }
    values = {
        "status": status.value,
        "statuscode": code,
        "statusmessage": message,
        "finishedat": _now(),
        # JSON columns hold SQL NULL, not the JSON word null, when there is nothing
        **{name: value for name, value in shown.items() if value is not None},
    }
    with database_errors("finish a run"), engine.begin() as connection:
        connection.execute(update(table).where(table.c.runid == run_id).values(values))


def get_run(engine: Engine, run_id: int) -> Run | None:
    """One run, or None when there is no such number.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    with database_errors("read a run"), engine.connect() as connection:
        return _read(connection, run_id)


def list_runs(engine: Engine, limit: int = 50) -> list[Run]:
    """The newest runs first.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(table).order_by(table.c.runid.desc()).limit(limit)
    with database_errors("list the runs"), engine.connect() as connection:
        return [_run(row) for row in connection.execute(query)]


def _start(connection: Connection, run_id: int | None) -> Run | None:
    if run_id is None:
        return None
    connection.execute(
        update(table)
        .where(table.c.runid == run_id)
        .values(status=RunStatus.RUNNING.value, startedat=_now())
    )
    return _read(connection, run_id)


def _read(connection: Connection, run_id: int) -> Run | None:
    row = connection.execute(select(table).where(table.c.runid == run_id)).one_or_none()
    return None if row is None else _run(row)


def _run(row: Row[*tuple[Any, ...]]) -> Run:
    # the table's columns and the fields of Run have the same order
    run = Run(*row)
    return replace(run, status=RunStatus(run.status))


def _now() -> str:
    return isoformat(SystemClock().now_us())
