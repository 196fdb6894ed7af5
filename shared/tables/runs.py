"""Training runs: requested by one process, claimed and finished by another, never deleted.

A claim is a lease: it names its owner, runs out unless it is extended (leases.py), and
carries a fencing number greater than all before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from shared.clock import MICROS_PER_SECOND, SystemClock, isoformat
from shared.tables.engine import database_errors
from shared.tables.locks import database_now_us, is_over, lock_for_writing
from shared.tables.schema import model_training_runs as table

LEASE_SECONDS = 15.0


class RunStatus(StrEnum):
    """REQUESTED -> RUNNING -> one of the others, which are final but for AWAITING and ON_TRIAL.

    AWAITING: the gates passed it and a person has to approve it; approval requests it again.

    ON_TRIAL: the gates passed it and the API rolls it out; the rollout makes it SUCCEEDED or
    REFUSED.
    NOT_DUE: nothing was trained, because the champion is fresh.
    REFUSED: the work was done, but the gates, or the rollout, kept the champion.
    SKIPPED: not run, for the reason in its code: an overlap, a cancellation.
    MISSED: no scheduler was running when it was due, and the catch-up window is over.
    """

    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    AWAITING = "AWAITING"
    ON_TRIAL = "ON_TRIAL"
    SUCCEEDED = "SUCCEEDED"
    NOT_DUE = "NOT_DUE"
    REFUSED = "REFUSED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    MISSED = "MISSED"


UNFINISHED = (RunStatus.REQUESTED.value, RunStatus.RUNNING.value)
CANCELLABLE = (*UNFINISHED, RunStatus.AWAITING.value)
"""An unfinished run, or one whose candidate awaits a person."""


@dataclass(frozen=True, slots=True)
class Run:
    """One row of ModelTrainingRuns; instants are RFC 3339 text, or `_us` by the database's clock.

    Attributes:
        candidate_sha256: the bundle whose push was announced or done.
        forced_by: the person who wanted it although the champion is fresh.
        arguments: what the job was asked to do beyond its name.
    """

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
    attempts: int = 0
    not_before_us: int | None = None
    lease_owner: str | None = None
    lease_until_us: int | None = None
    fencing_number: int | None = None
    cancel_requested_by: str | None = None
    candidate_sha256: str | None = None
    forced_by: str | None = None
    forced_reason: str | None = None
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class ForcedBy:
    """The person who wants a run although the champion is fresh, and why."""

    person: str
    reason: str


def request_run(
    engine: Engine,
    job: str,
    scheduled_for_us: int,
    requested_by: str,
    forced: ForcedBy | None = None,
) -> int:
    """Ask for a run; asking twice for the same due instant names the same run.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    due = isoformat(scheduled_for_us)
    same = and_(table.c.jobname == job, table.c.scheduledfor == due)
    return _request(engine, job, due, requested_by, same, forced=forced)[0]


def request_unless_unfinished(
    engine: Engine, job: str, scheduled_for_us: int, requested_by: str
) -> int:
    """Ask for a run, or name the one of this job that is not over yet, or awaits a person.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    unfinished = and_(table.c.jobname == job, table.c.status.in_(CANCELLABLE))
    return _request(engine, job, isoformat(scheduled_for_us), requested_by, unfinished)[0]


def request_alone(
    engine: Engine,
    job: str,
    scheduled_for_us: int,
    requested_by: str,
    arguments: Mapping[str, Any],
) -> tuple[int, bool]:
    """Ask for a run of a job of which only one may wait or be in progress.

    Returns its number and True, or the number of the one that is not over yet and False.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    unfinished = and_(table.c.jobname == job, table.c.status.in_(UNFINISHED))
    due = isoformat(scheduled_for_us)
    return _request(engine, job, due, requested_by, unfinished, arguments=arguments)


@dataclass(frozen=True, slots=True)
class JobChoice:
    """Jobs that a worker takes: `only` these, or all but those of `without`."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def condition(self) -> ColumnElement[bool]:
        chosen = table.c.jobname.in_(self.only) if self.only else true()
        return and_(chosen, table.c.jobname.not_in(self.without))


EVERY_JOB = JobChoice()


def claim_next(
    engine: Engine,
    owner: str = "somebody",
    lease_seconds: float = LEASE_SECONDS,
    jobs: JobChoice = EVERY_JOB,
) -> Run | None:
    """Start the oldest requested run, or take over one whose owner let its lease run out.

    Of two callers at once only one gets it, and never two runs of one job at once.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    with database_errors("look for requested runs"):
        # Polled every second or two: checked without a lock first.
        with engine.connect() as connection:
            if connection.scalar(_claimable(database_now_us(connection), jobs)) is None:
                return None
        with engine.begin() as connection:
            lock_for_writing(connection)
            now_us = database_now_us(connection)
            run_id = connection.scalar(_claimable(now_us, jobs))
            if run_id is None:
                return None
            _start(connection, run_id, owner, now_us, lease_seconds)
            return _read(connection, run_id)


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
    fencing_number: int | None = None,
) -> bool:
    """Record a run's outcome and results.

    With a fencing number only the lease's holder can: returns False, and writes no row, when
    another scheduler has taken over or ended the run since.

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
        "leaseuntil": None,
        # empty JSON columns hold SQL NULL, not JSON null
        **{name: value for name, value in shown.items() if value is not None},
    }
    mine = table.c.runid == run_id
    if fencing_number is not None:
        mine = and_(mine, held(run_id, fencing_number))
    with database_errors("finish a run"), engine.begin() as connection:
        return connection.execute(update(table).where(mine).values(values)).rowcount == 1


def settle_trial(engine: Engine, run_id: int, status: RunStatus, code: str, message: str) -> bool:
    """Record how a run's rollout ended, or stands; False when another scheduler has recorded it.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    on_trial = and_(table.c.runid == run_id, table.c.status == RunStatus.ON_TRIAL.value)
    values = {"status": status.value, "statuscode": code, "statusmessage": message}
    with database_errors("record the end of a rollout"), engine.begin() as connection:
        return connection.execute(update(table).where(on_trial).values(values)).rowcount == 1


def held(run_id: int, fencing_number: int) -> ColumnElement[bool]:
    """The run is in progress, and no other scheduler has claimed it since this number was given."""
    return and_(
        table.c.runid == run_id,
        table.c.status == RunStatus.RUNNING.value,
        table.c.fencingnumber == fencing_number,
    )


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


def runs_on_trial(engine: Engine) -> list[Run]:
    """The runs whose versions are being rolled out, as far as their rows tell.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(table).where(table.c.status == RunStatus.ON_TRIAL.value)
    with database_errors("read the runs on trial"), engine.connect() as connection:
        return [_run(row) for row in connection.execute(query)]


def _request(
    engine: Engine,
    job: str,
    due: str,
    requested_by: str,
    known: ColumnElement[bool],
    *,
    forced: ForcedBy | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> tuple[int, bool]:
    """The number of the run, and whether it is a new one."""
    with database_errors("request a run"), engine.begin() as connection:
        lock_for_writing(connection)
        run_id: int | None = connection.scalar(select(func.max(table.c.runid)).where(known))
        if run_id is not None:
            return run_id, False
        row = {
            "rundate": _now(),
            "jobname": job,
            "scheduledfor": due,
            "status": RunStatus.REQUESTED.value,
            "requestedby": requested_by,
            "forcedby": None if forced is None else forced.person,
            "forcedreason": None if forced is None else forced.reason,
            # an empty JSON column holds SQL NULL, not JSON null
            **({} if arguments is None else {"arguments": dict(arguments)}),
        }
        added: int = connection.execute(
            insert(table).values(row).returning(table.c.runid)
        ).scalar_one()
    return added, True


def _claimable(now_us: int, jobs: JobChoice) -> Select[int]:
    other = table.alias()
    same_job_runs = (
        select(other.c.runid)
        .where(other.c.jobname == table.c.jobname, other.c.status == RunStatus.RUNNING.value)
        .exists()
    )
    waits = and_(
        table.c.status == RunStatus.REQUESTED.value,
        is_over(table.c.notbefore, now_us),
        ~same_job_runs,
    )
    abandoned = and_(table.c.status == RunStatus.RUNNING.value, is_over(table.c.leaseuntil, now_us))
    ours = and_(or_(waits, abandoned), jobs.condition())
    return select(table.c.runid).where(ours).order_by(table.c.runid).limit(1)


def _start(
    connection: Connection, run_id: int, owner: str, now_us: int, lease_seconds: float
) -> None:
    newest: int = connection.scalar(select(func.max(table.c.fencingnumber))) or 0
    connection.execute(
        update(table)
        .where(table.c.runid == run_id)
        .values(
            status=RunStatus.RUNNING.value,
            startedat=func.coalesce(table.c.startedat, isoformat(now_us)),
            attempts=table.c.attempts + 1,
            notbefore=None,
            leaseowner=owner,
            leaseuntil=now_us + round(lease_seconds * MICROS_PER_SECOND),
            # at least the clock: a database that is replaced by an older or empty one must
            # not issue fencing numbers again that the API has already seen
            fencingnumber=max(newest + 1, now_us // MICROS_PER_SECOND),
        )
    )


def _read(connection: Connection, run_id: int) -> Run | None:
    row = connection.execute(select(table).where(table.c.runid == run_id)).one_or_none()
    return None if row is None else _run(row)


def _run(row: Row[*tuple[Any, ...]]) -> Run:
    # the table's columns and the fields of Run have the same order
    run = Run(*row)
    return replace(run, status=RunStatus(run.status))


def _now() -> str:
    return isoformat(SystemClock().now_us())
