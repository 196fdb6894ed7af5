"""The queries that live scoring makes of stored history, and their SQL statements."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from shared.features.tiles import (
    DAY_HOURS,
    MONTH_HOURS,
    WEEK_HOURS,
    Sums,
    TileHours,
    TileWindows,
)
from shared.tables.schema import api_transaction_logs, merchant_tiles, transaction_history_logs

PriorRow = tuple[Any, ...]
"""event_time, ingested_at, transaction_id, then the use case's columns, then the origin."""

EVENT_TIME, INGESTED_AT, TRANSACTION_ID = range(3)
KEYS = ("event_time", "ingested_at", "transaction_id")

Statement = Select[Any] | CompoundSelect[Any]


class Fetch(Protocol):
    """Runs one of the statements.

    Raises:
        DataUnavailable: the database cannot be read now.
    """

    def __call__(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[PriorRow]: ...


class HistoryReader:
    """Bounded questions about one user or one merchant; all raise DataUnavailable."""

    def __init__(self, fetch: Fetch, columns: Sequence[str], windows: TileWindows) -> None:
        self._fetch = fetch
        self._lag_hours = windows.lag_hours
        newest_first: list[ColumnElement[Any]] = [literal_column(name).desc() for name in KEYS]
        # in descending index order, so that LIMIT stops the scan
        self._window = (
            union_all(*(_window(table, columns) for table in _LOGS))
            .order_by(*newest_first)
            .limit(bindparam("most_rows", type_=BigInteger()))
        )
        self._before = union_all(*(_before(table, columns) for table in _LOGS)).order_by(
            *newest_first
        )
        self._first = union_all(*(_first(table) for table in _LOGS))

    @property
    def statements(self) -> tuple[Statement, Statement, Statement]:
        """The statements of `window`, `before` and `first`, for callers with own connections."""
        return self._window, self._before, self._first

    def window(
        self, user_id: str, begin_us: int, end_us: int, most_rows: int
    ) -> Sequence[PriorRow]:
        """Rows with an event time in [begin, end), newest first; late ones among them."""
        return self._fetch(self._window, _span(user_id, begin_us, end_us, most_rows))

    def before(self, user_id: str, end_us: int, known_us: int) -> Sequence[PriorRow]:
        """The newest row of each log that happened before `end` and was ingested by then."""
        parameters = {"user_id": user_id, "end_us": end_us, "known_us": known_us}
        return self._fetch(self._before, parameters)

    def first(self, user_id: str, end_us: int, known_us: int) -> Sequence[PriorRow]:
        """Event and ingestion time of the oldest such row of each log."""
        return self._fetch(self._first, _known(user_id, end_us, known_us))

    def first_seen(self, user_id: str, end_us: int, known_us: int) -> int | None:
        return min((row[0] for row in self.first(user_id, end_us, known_us)), default=None)

    def sums(self, merchant_id: str, hours: TileHours) -> Sums:
        """The merchant's sums, in the order of `shared.features.tiles.SUMS`."""
        (row,) = self._fetch(_SUMS, self._sum_parameters(merchant_id, hours))
        return tuple(value or 0 for value in row)

    def _sum_parameters(self, merchant_id: str, hours: TileHours) -> Mapping[str, Any]:
        late = hours.end - self._lag_hours
        return {
            "merchant_id": merchant_id,
            "day_begin": hours.end - DAY_HOURS,
            "begin": min(late - MONTH_HOURS, hours.end - DAY_HOURS),
            "end": hours.end,
            "late_week": late - WEEK_HOURS,
            "late_month": late - MONTH_HOURS,
            "late_end": late,
            "rows_known": hours.rows_known,
            "labels_known": hours.labels_known,
        }


def _span(user_id: str, begin_us: int, end_us: int, most_rows: int) -> Mapping[str, Any]:
    return {"user_id": user_id, "begin_us": begin_us, "end_us": end_us, "most_rows": most_rows}


def _known(user_id: str, end_us: int, known_us: int) -> Mapping[str, Any]:
    return {"user_id": user_id, "end_us": end_us, "known_us": known_us}


# The API's log comes last: it has the true ingestion instant of rows that are in both.
_LOGS = (transaction_history_logs, api_transaction_logs)


def _window(table: Table, columns: Sequence[str]) -> Select[Any]:
    log = table.c
    return select(*_prior(table, columns)).where(
        log.user_id == bindparam("user_id"),
        log.event_time >= bindparam("begin_us"),
        log.event_time < bindparam("end_us"),
    )


def _prior(table: Table, columns: Sequence[str]) -> list[ColumnElement[Any]]:
    origin: ColumnElement[int] = literal_column(str(_LOGS.index(table)))
    return [*(table.c[name] for name in (*KEYS, *columns)), origin.label("origin")]


def _visible(table: Table) -> ColumnElement[bool]:
    return and_(
        table.c.user_id == bindparam("user_id"),
        table.c.event_time < bindparam("end_us"),
        table.c.ingested_at <= bindparam("known_us"),
    )


def _before(table: Table, columns: Sequence[str]) -> Select[Any]:
    newest = (
        select(*_prior(table, columns))
        .where(_visible(table))
        .order_by(*(table.c[name].desc() for name in KEYS))
        .limit(1)
    )
    return select(newest.subquery())


def _first(table: Table) -> Select[Any]:
    log = table.c
    oldest = (
        select(log.event_time, log.ingested_at)
        .where(_visible(table))
        .order_by(log.event_time, log.ingested_at)
        .limit(1)
    )
    return select(oldest.subquery())


def _sum(kind: str, column: str, begin: str, end: str) -> ColumnElement[Any]:
    tile = merchant_tiles.c
    inside = and_(
        tile.kind == literal_column(f"'{kind}'"),
        tile.event_hour >= bindparam(begin),
        tile.event_hour < bindparam(end),
        tile.known_hour < bindparam(f"{kind}s_known"),
    )
    return func.sum(case((inside, tile[column])))


_SUMS = select(
    _sum("row", "rows", "day_begin", "end"),
    _sum("row", "rows", "late_month", "late_end"),
    _sum("label", "rows", "late_week", "late_end"),
    _sum("label", "positives", "late_week", "late_end"),
    _sum("label", "rows", "late_month", "late_end"),
    _sum("label", "positives", "late_month", "late_end"),
).where(
    merchant_tiles.c.merchant_id == bindparam("merchant_id"),
    merchant_tiles.c.event_hour >= bindparam("begin"),
    merchant_tiles.c.event_hour < bindparam("end"),
)
