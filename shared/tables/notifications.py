"""Notifications on their way: one row an event, delivered until it is or its time is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from shared.clock import MICROS_PER_DAY
from shared.tables.engine import database_errors
from shared.tables.schema import notifications as table

KEPT_US = 90 * MICROS_PER_DAY
_BEGAN = "began"
_PROBLEM_CHARACTERS = 500


class Event(StrEnum):
    """The events that people are notified of."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    DRIFT = "drift"
    APPROVAL_WANTED = "approval_wanted"


class Delivery(StrEnum):
    """WAITING -> SENT, or GIVEN_UP once its time is over."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Notification:
    """One event.

    Attributes:
        source: what it is about; no source is written twice.
        body: JSON, without the id, which the row gives.
    """

    source: str
    event: Event
    happened_at_us: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notification that is due."""

    number: int
    notification: Notification
    attempts: int


def begin(engine: Engine, now_us: int) -> int:
    """The instant from which people are notified: that of the first call.

    Raises:
        DataUnavailable: the database cannot be used now.
    """
    with database_errors("begin notifications"), engine.begin() as connection:
        values = {
            "source": _BEGAN,
            "event": _BEGAN,
            "happenedat": now_us,
            "body": {},
            "state": Delivery.SENT.value,
        }
        connection.execute(_insert(engine).values(values))
        query = select(table.c.happenedat).where(table.c.source == _BEGAN)
        return int(connection.execute(query).scalar_one())


def known_sources(engine: Engine, sources: Sequence[str]) -> frozenset[str]:
    """The subset of these sources that is written already.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    found: set[str] = set()
    with database_errors("read notifications"), engine.connect() as connection:
        for at in range(0, len(sources), 500):
            query = select(table.c.source).where(table.c.source.in_(sources[at : at + 500]))
            found |= set(connection.scalars(query))
    return frozenset(found)


def add(engine: Engine, found: Sequence[Notification]) -> None:
    """Write events that are not written yet, and remove old rows.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    if not found:
        return
    rows = [
        {
            "source": one.source,
            "event": one.event.value,
            "happenedat": one.happened_at_us,
            "body": dict(one.body),
            "state": Delivery.WAITING.value,
        }
        for one in found
    ]
    newest = max(one.happened_at_us for one in found)
    old = and_(
        table.c.happenedat < newest - KEPT_US,
        table.c.state != Delivery.WAITING.value,
        table.c.source != _BEGAN,
    )
    with database_errors("write notifications"), engine.begin() as connection:
        connection.execute(_insert(engine), rows)
        connection.execute(delete(table).where(old))


def due(engine: Engine, now_us: int, limit: int) -> list[Waiting]:
    """Notifications to be delivered now, the oldest first.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = (
        select(
            table.c.notificationid,
            table.c.source,
            table.c.event,
            table.c.happenedat,
            table.c.body,
            table.c.attempts,
        )
        .where(table.c.state == Delivery.WAITING.value, table.c.notbefore <= now_us)
        .order_by(table.c.notificationid)
        .limit(limit)
    )
    with database_errors("read notifications"), engine.connect() as connection:
        return [
            Waiting(number, Notification(source, Event(event), at, body), attempts)
            for number, source, event, at, body, attempts in connection.execute(query)
        ]


def mark_sent(engine: Engine, number: int, now_us: int) -> None:
    """Raises DataUnavailable when that cannot be written: it is then delivered again."""
    _mark(engine, number, {"state": Delivery.SENT.value, "sentat": now_us, "problem": None})


def mark_failed(
    engine: Engine, number: int, problem: str, not_before_us: int, *, gives_up: bool
) -> None:
    """Raises DataUnavailable when that cannot be written."""
    state = Delivery.GIVEN_UP if gives_up else Delivery.WAITING
    values = {
        "state": state.value,
        "attempts": table.c.attempts + 1,
        "notbefore": not_before_us,
        "problem": problem[:_PROBLEM_CHARACTERS],
    }
    _mark(engine, number, values)


def count_notifications(engine: Engine) -> dict[tuple[str, str], int]:
    """Event and state -> how many.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = (
        select(table.c.event, table.c.state, func.count())
        .where(table.c.source != _BEGAN)
        .group_by(table.c.event, table.c.state)
    )
    with database_errors("count notifications"), engine.connect() as connection:
        return {(event, state): count for event, state, count in connection.execute(query)}


def _mark(engine: Engine, number: int, values: Mapping[str, Any]) -> None:
    mine = table.c.notificationid == number
    with database_errors("mark a notification"), engine.begin() as connection:
        connection.execute(update(table).where(mine).values(dict(values)))


def _insert(engine: Engine) -> Any:
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing(index_elements=["source"])
