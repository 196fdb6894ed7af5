"""Candidates that passed every gate and wait for a person: held, approved, refused, or void.

A candidate waits as the row of its run (AWAITING) and one row here, written in one transaction, so
that no restart loses it. Approval puts the run back into the queue, where any scheduler claims it
and promotes exactly the bundle that was judged. Every change is conditional on `waiting`: of two
people, or of a person and the clock, one decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, delete, insert, select, update

from shared.clock import MICROS_PER_SECOND, isoformat
from shared.errors import UnderstudyError
from shared.tables.engine import database_errors
from shared.tables.locks import database_now_us, lock_for_writing
from shared.tables.runs import RunStatus, held
from shared.tables.schema import approvals as table
from shared.tables.schema import model_training_runs as runs

AWAITS, REFUSED, EXPIRED, VOID = (
    "awaits_approval",
    "approval_refused",
    "approval_expired",
    "comparison_void",
)
"""Codes of runs."""


class ApprovalState(StrEnum):
    """WAITING -> one of the others, which are final."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    VOID = "void"


_ENDS = {
    ApprovalState.REFUSED: REFUSED,
    ApprovalState.EXPIRED: EXPIRED,
    ApprovalState.VOID: VOID,
}


class NotWaiting(UnderstudyError):
    """Raised when no candidate of a version waits for a person; says what became of it."""


@dataclass(frozen=True, slots=True)
class WantedApproval:
    """The decision that a run asks a person for.

    Attributes:
        champion_version: what the candidate was compared with; None: it is the first model.
    """

    version: str
    sha256: str
    champion_version: str | None
    expires_seconds: float


@dataclass(frozen=True, slots=True)
class Ruling:
    """A person's decision about a waiting candidate, with the reason."""

    state: ApprovalState
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """One row: what waits or waited, and who decided."""

    run_id: int
    version: str
    sha256: str
    champion_version: str | None
    state: ApprovalState
    requested_at_us: int
    expires_at_us: int
    decided_at_us: int | None
    decided_by: str | None
    reason: str | None


def hold(
    engine: Engine,
    run_id: int,
    fencing_number: int,
    wanted: WantedApproval,
    columns: Mapping[str, Any],
) -> bool:
    """Let a candidate wait; False when another scheduler holds the run now.

    An older candidate that waits is void from then on: what a person sees is the newest.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    values = {
        "status": RunStatus.AWAITING.value,
        "statuscode": AWAITS,
        "leaseuntil": None,
        "leaseowner": None,
        **{name: value for name, value in columns.items() if value is not None},
    }
    with database_errors("hold a candidate"), engine.begin() as connection:
        lock_for_writing(connection)
        mine = held(run_id, fencing_number)
        if connection.execute(update(runs).where(mine).values(values)).rowcount != 1:
            return False
        now_us = database_now_us(connection)
        for older in _waiting(connection):
            why = f"{wanted.version} passed every gate since"
            _settle(connection, older, Ruling(ApprovalState.VOID, "scheduler", why), now_us)
        connection.execute(delete(table).where(table.c.runid == run_id))
        connection.execute(
            insert(table).values(
                runid=run_id,
                version=wanted.version,
                sha256=wanted.sha256,
                championversion=wanted.champion_version,
                state=ApprovalState.WAITING.value,
                requestedat=now_us,
                expiresat=now_us + round(wanted.expires_seconds * MICROS_PER_SECOND),
            )
        )
    return True


def decide(
    engine: Engine,
    version: str,
    ruling: Ruling,
    write_down: Callable[[Approval], None],
) -> Approval:
    """A person's decision about the candidate of a version that waits.

    `write_down` puts it into the audit trail first: if that fails, nothing is decided.

    Raises:
        NotWaiting: none waits, or it has expired.
        DataUnavailable: the database cannot be written now.
    """
    with database_errors("decide about a candidate"), engine.begin() as connection:
        lock_for_writing(connection)
        now_us = database_now_us(connection)
        found = _that_waits(_newest(connection, version), version, now_us)
        write_down(found)
        return _settle(connection, found, ruling, now_us)


def settle(engine: Engine, run_id: int, ruling: Ruling) -> bool:
    """End the waiting of a run's candidate; False when it does not wait any more.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    with database_errors("end the waiting of a candidate"), engine.begin() as connection:
        lock_for_writing(connection)
        row = connection.execute(select(table).where(table.c.runid == run_id)).one_or_none()
        found = None if row is None else _approval(row)
        if found is None or found.state is not ApprovalState.WAITING:
            return False
        _settle(connection, found, ruling, database_now_us(connection))
    return True


def spoil(engine: Engine, run_id: int, reason: str) -> None:
    """An approved candidate cannot be promoted any more: what it was compared with has changed.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    values = {"state": ApprovalState.VOID.value, "reason": reason}
    with database_errors("void an approval"), engine.begin() as connection:
        connection.execute(update(table).where(table.c.runid == run_id).values(values))


def waiting(engine: Engine) -> list[Approval]:
    """The candidates that wait, the newest first.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    with database_errors("read waiting candidates"), engine.connect() as connection:
        return _waiting(connection)


def overdue(engine: Engine) -> list[Approval]:
    """Approvals whose time is over, by the database's clock.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    with database_errors("read waiting candidates"), engine.connect() as connection:
        found = _waiting(connection)
        now_us = database_now_us(connection) if found else 0
    return [one for one in found if one.expires_at_us <= now_us]


def list_approvals(engine: Engine, limit: int = 50) -> list[Approval]:
    """The newest first, whatever became of them.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(table).order_by(table.c.runid.desc()).limit(limit)
    with database_errors("list approvals"), engine.connect() as connection:
        return [_approval(row) for row in connection.execute(query)]


def approval_of(engine: Engine, run_id: int) -> Approval | None:
    """The approval that a run waits for, or waited for.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(table).where(table.c.runid == run_id)
    with database_errors("read an approval"), engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _approval(row)


def approvals_of_version(engine: Engine, version: str) -> list[Approval]:
    """The newest first.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(table).where(table.c.version == version).order_by(table.c.runid.desc())
    with database_errors("read approvals"), engine.connect() as connection:
        return [_approval(row) for row in connection.execute(query)]


def is_approved(engine: Engine, version: str, sha256: str) -> bool:
    """True if a person approved exactly this bundle.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    same = and_(
        table.c.version == version,
        table.c.sha256 == sha256,
        table.c.state == ApprovalState.APPROVED.value,
    )
    with database_errors("read an approval"), engine.connect() as connection:
        return connection.scalar(select(table.c.runid).where(same).limit(1)) is not None


def _waiting(connection: Connection) -> list[Approval]:
    query = (
        select(table)
        .where(table.c.state == ApprovalState.WAITING.value)
        .order_by(table.c.runid.desc())
    )
    return [_approval(row) for row in connection.execute(query)]


def _newest(connection: Connection, version: str) -> Approval | None:
    query = select(table).where(table.c.version == version).order_by(table.c.runid.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _approval(row)


def _that_waits(found: Approval | None, version: str, now_us: int) -> Approval:
    if found is None:
        raise NotWaiting(f"no candidate {version} waits for a person")
    if found.state is not ApprovalState.WAITING:
        why = f": {found.reason}" if found.reason else ""
        by = f" by {found.decided_by}" if found.decided_by else ""
        raise NotWaiting(f"candidate {version} does not wait any more: {found.state}{by}{why}")
    if found.expires_at_us <= now_us:
        raise NotWaiting(
            f"candidate {version} waited until {isoformat(found.expires_at_us)}; it has expired"
        )
    return found


def _settle(connection: Connection, found: Approval, ruling: Ruling, now_us: int) -> Approval:
    connection.execute(
        update(table)
        .where(table.c.runid == found.run_id, table.c.state == ApprovalState.WAITING.value)
        .values(
            state=ruling.state.value,
            decidedat=now_us,
            decidedby=ruling.who[:128],
            reason=ruling.reason,
        )
    )
    waits = and_(runs.c.runid == found.run_id, runs.c.status == RunStatus.AWAITING.value)
    connection.execute(update(runs).where(waits).values(_run_values(ruling, now_us)))
    row = connection.execute(select(table).where(table.c.runid == found.run_id)).one()
    return _approval(row)


def _run_values(ruling: Ruling, now_us: int) -> dict[str, Any]:
    state, who, reason = ruling.state, ruling.who, ruling.reason
    if state is ApprovalState.APPROVED:
        # the attempts of the promotion are counted separately from those of the training
        return {
            "status": RunStatus.REQUESTED.value,
            "statuscode": "approved",
            "statusmessage": f"approved by {who}: {reason}",
            "notbefore": None,
            "attempts": 0,
        }
    said = {ApprovalState.REFUSED: f"refused by {who}: {reason}"}.get(state, reason)
    return {
        "status": RunStatus.REFUSED.value,
        "statuscode": _ENDS[state],
        "statusmessage": said,
        "finishedat": isoformat(now_us),
    }


def _approval(row: Row[*tuple[Any, ...]]) -> Approval:
    # the table's columns and the fields of Approval have the same order
    run_id, version, sha256, champion, state, *rest = row
    return Approval(run_id, version, sha256, champion, ApprovalState(state), *rest)
