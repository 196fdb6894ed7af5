"""Leases on the database's clock: operations of the holder of a claimed run, and duties.

Every statement of a run's holder names its fencing number: once another scheduler has claimed the
run, none of them matches a row. A duty is performed by one scheduler at a time; whenever it is
taken or extended its holder gets a fencing number greater than all before, those of runs included,
so that receivers can refuse a former holder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, func, insert, select, update

from shared.clock import MICROS_PER_SECOND, SystemClock, isoformat
from shared.tables.engine import database_errors
from shared.tables.locks import database_now_us, is_held, lock_for_writing
from shared.tables.runs import CANCELLABLE, RunStatus, held
from shared.tables.schema import approvals, duties
from shared.tables.schema import model_training_runs as table

CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Holding:
    """The state of a lease after it was extended.

    Attributes:
        cancel_requested_by: who requested its cancellation; None: no request.
        is_pushing: a bundle is on its way to the API, so it is too late for that.
    """

    cancel_requested_by: str | None
    is_pushing: bool


def renew(engine: Engine, run_id: int, fencing_number: int, seconds: float) -> Holding | None:
    """Extend the lease from now on; None when it is no longer ours.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    with database_errors("extend a lease"), engine.begin() as connection:
        row = _extend(connection, run_id, fencing_number, seconds)
    return None if row is None else Holding(row.cancelrequestedby, row.candidatesha256 is not None)


def announce_push(
    engine: Engine, run_id: int, fencing_number: int, seconds: float, **columns: Any
) -> bool:
    """Write down what is about to be pushed; False when the lease is no longer ours.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    with database_errors("announce a push"), engine.begin() as connection:
        return _extend(connection, run_id, fencing_number, seconds, **columns) is not None


def record_steps(
    engine: Engine, run_id: int, fencing_number: int, steps: Sequence[Mapping[str, Any]]
) -> bool:
    """Show the finished steps of a run in progress; False when the lease is no longer ours.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    mine = held(run_id, fencing_number)
    with database_errors("record steps of a run"), engine.begin() as connection:
        changed = connection.execute(update(table).where(mine).values(steps=list(steps)))
        return changed.rowcount == 1


def give_back(
    engine: Engine,
    run_id: int,
    fencing_number: int,
    code: str,
    message: str,
    *,
    delay_seconds: float = 0.0,
    counts: bool = True,
) -> bool:
    """Let the run be claimed again, later; False when the lease is no longer ours.

    `counts` is False when the attempt ended through no fault of the run.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    with database_errors("give a run back"), engine.begin() as connection:
        lock_for_writing(connection)
        now_us = database_now_us(connection)
        values = {
            "status": RunStatus.REQUESTED.value,
            "statuscode": code,
            "statusmessage": message,
            "notbefore": now_us + round(delay_seconds * MICROS_PER_SECOND),
            "leaseowner": None,
            "leaseuntil": None,
            "attempts": table.c.attempts - (0 if counts else 1),
        }
        changed = connection.execute(
            update(table).where(held(run_id, fencing_number)).values(values)
        )
        return changed.rowcount == 1


def request_cancel(engine: Engine, run_id: int, who: str) -> RunStatus | None:
    """Ask for a run to end; returns its status before that, None when there is no such run.

    One that has not begun, or awaits a person, is over at once; one in progress within seconds.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    mine = table.c.runid == run_id
    stopped = (RunStatus.REQUESTED.value, RunStatus.AWAITING.value)
    not_begun = and_(mine, table.c.status.in_(stopped))
    waits = and_(approvals.c.runid == run_id, approvals.c.state == "waiting")
    ended = {
        "status": RunStatus.SKIPPED.value,
        "statuscode": CANCELLED,
        "statusmessage": f"cancelled by {who} before it began",
        "finishedat": isoformat(SystemClock().now_us()),
    }
    asked = update(table).where(and_(mine, table.c.status.in_(CANCELLABLE)))
    with database_errors("cancel a run"), engine.begin() as connection:
        lock_for_writing(connection)
        status = connection.scalar(select(table.c.status).where(mine))
        connection.execute(asked.values(cancelrequestedby=who))
        connection.execute(update(table).where(not_begun).values(ended))
        connection.execute(
            update(approvals)
            .where(waits)
            .values(state="void", decidedby=who[:128], reason="its run was cancelled")
        )
    return None if status is None else RunStatus(status)


def _extend(
    connection: Connection, run_id: int, fencing_number: int, seconds: float, **columns: Any
) -> Row[Any] | None:
    until_us = database_now_us(connection) + round(seconds * MICROS_PER_SECOND)
    return connection.execute(
        update(table)
        .where(held(run_id, fencing_number))
        .values(leaseuntil=until_us, **columns)
        .returning(table.c.cancelrequestedby, table.c.candidatesha256)
    ).one_or_none()


def take_leadership(engine: Engine, duty: str, owner: str, seconds: float) -> int | None:
    """Take or extend a duty; None: another scheduler holds it now.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    mine = duties.c.duty == duty
    with database_errors("take a duty"), engine.begin() as connection:
        lock_for_writing(connection)
        now_us = database_now_us(connection)
        held = connection.execute(select(duties).where(mine)).one_or_none()
        if held is not None and held.leaseowner != owner and is_held(held.leaseuntil, now_us):
            return None
        number = _next_number(connection, now_us)
        row = {
            "duty": duty,
            "leaseowner": owner,
            "leaseuntil": now_us + round(seconds * MICROS_PER_SECOND),
            "fencingnumber": number,
        }
        connection.execute(delete(duties).where(mine))
        connection.execute(insert(duties).values(row))
    return number


def _next_number(connection: Connection, now_us: int) -> int:
    """The next fencing number: at least the clock, so that a restored database repeats none."""
    columns = (duties.c.fencingnumber, table.c.fencingnumber)
    newest = max(connection.scalar(select(func.max(column))) or 0 for column in columns)
    return max(newest + 1, now_us // MICROS_PER_SECOND)
