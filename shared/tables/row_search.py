"""Finds stored rows by what a person knows of them, in every log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.sql.elements import ColumnElement

from shared.tables.data_changes import TRANSACTION_LOGS, RowLogs, sender_of


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Every condition that is given has to hold; instants are microseconds since the epoch.

    Attributes:
        transaction_ids: ids of rows, whatever the use case calls them.
        user_id: the entity.
    """

    transaction_ids: tuple[str, ...] = ()
    user_id: str | None = None
    merchant_id: str | None = None
    sent_by: str | None = None
    import_number: int | None = None
    before_us: int | None = None
    after_us: int | None = None
    amount_above: float | None = None

    @property
    def is_empty(self) -> bool:
        return self == RowFilter()

    def conditions(self, log: Table, logs: RowLogs = TRANSACTION_LOGS) -> list[ColumnElement[bool]]:
        """The conditions on one log; it has the columns that they are about."""
        imported = None if self.import_number is None else sender_of(self.import_number)
        given: tuple[tuple[Any, Callable[[Any], ColumnElement[bool]]], ...] = (
            (self.transaction_ids or None, log.c[logs.row_id].in_),
            (self.user_id, lambda user: log.c[logs.entity] == user),
            (self.merchant_id, lambda merchant: log.c.merchant_id == merchant),
            (self.sent_by, lambda sender: log.c.sent_by == sender),
            (imported, lambda sender: log.c.sent_by == sender),
            (self.before_us, lambda instant: log.c.event_time < instant),
            (self.after_us, lambda instant: log.c.event_time >= instant),
            (self.amount_above, lambda amount: log.c.amount > amount),
        )
        return [condition(value) for value, condition in given if value is not None]


def count_rows(
    connection: Connection, found: RowFilter, logs: RowLogs = TRANSACTION_LOGS
) -> dict[str, int]:
    """The number of matching rows, by the log's name."""
    return {
        log.name: connection.scalar(
            select(func.count()).select_from(log).where(*found.conditions(log, logs))
        )
        or 0
        for log in logs.logs
    }


def first_rows(
    connection: Connection,
    found: RowFilter,
    columns: Sequence[str],
    limit: int,
    logs: RowLogs = TRANSACTION_LOGS,
) -> list[tuple[str, dict[str, Any]]]:
    """The first rows by event time, each with the name of its log."""
    rows: list[tuple[str, dict[str, Any]]] = []
    for log in logs.logs:
        query = select(*(log.c[name] for name in columns)).where(*found.conditions(log, logs))
        ordered = query.order_by(log.c.event_time).limit(limit - len(rows))
        rows += [(log.name, dict(row)) for row in connection.execute(ordered).mappings()]
    return rows


def ids_of(
    connection: Connection, found: RowFilter, log: Table, logs: RowLogs = TRANSACTION_LOGS
) -> list[str]:
    """The ids of all rows it finds in one log."""
    query = select(log.c[logs.row_id]).where(*found.conditions(log, logs))
    return list(connection.scalars(query))
