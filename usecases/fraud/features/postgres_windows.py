"""Reads the history of new users and merchants of a micro-batch in one PostgreSQL statement."""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple

import numpy as np

from native.catalogue import COMPILED_READING
from native.precompile import call_precompiled
from shared.clock import MICROS_PER_DAY
from shared.features.fetch import PostgresFetch
from shared.features.live import WINDOW_US, rows_to_read
from shared.features.reader import KEYS
from shared.features.tiles import (
    DAY_HOURS,
    MONTH_HOURS,
    WEEK_HOURS,
    Sums,
    TileHours,
    TileWindows,
)
from shared.tables.schema import api_transaction_logs, merchant_tiles, transaction_history_logs
from shared.transaction import Transaction

from .encoding import PRIOR_COLUMNS
from .records import past_of
from .stepping import GOOD
from .stored import hashes_agree
from .window import ROOM_TO_COME, UserWindow

_NEWEST_FIRST = ", ".join(f"{name} DESC" for name in KEYS)
_SUMS = Struct(">i" + "iiq" * 6)
"""A record of six bigints: how many there are; each with its type and its length."""


class Ahead(NamedTuple):
    """The result of a read.

    Attributes:
        windows: by user; None where rows want a closer look.
        sums: by merchant and hours.
    """

    windows: dict[str, UserWindow | None]
    sums: dict[tuple[str, TileHours], Sums]


class PostgresWindows:
    """Reads for a whole micro-batch at once; raises DataUnavailable."""

    def __init__(self, fetch: PostgresFetch, windows: TileWindows, max_prior_rows: int) -> None:
        call_precompiled(load_compiled)
        self._fetch = fetch
        self._most = (max_prior_rows, rows_to_read(max_prior_rows), ROOM_TO_COME)
        self._text = _statement(windows.lag_hours)

    def read(
        self, users: Sequence[Transaction], merchants: Sequence[tuple[str, TileHours]]
    ) -> Ahead:
        """Windows for these rows, one of each user, and all later ones; and sums of merchants."""
        ahead = Ahead({}, {})
        for number, *parts in self._fetch.rows(self._text, self._parameters(users, merchants)):
            if number > 0:
                row = users[number - 1]
                ahead.windows[row.user_id] = self._window(row, parts)
            else:
                ahead.sums[merchants[-number - 1]] = _SUMS.unpack(parts[0])[3::3]
        return ahead

    def _parameters(
        self, users: Sequence[Transaction], merchants: Sequence[tuple[str, TileHours]]
    ) -> Mapping[str, Any]:
        hours = [each for _, each in merchants]
        return {
            "users": [row.user_id for row in users],
            "begins": [row.event_time_us - WINDOW_US for row in users],
            "most": self._most[1],
            "merchants": [merchant for merchant, _ in merchants],
            "ends": [each.end for each in hours],
            "rows_known": [each.rows_known for each in hours],
            "labels_known": [each.labels_known for each in hours],
        }

    def _window(self, row: Transaction, parts: Sequence[bytes | None]) -> UserWindow | None:
        recent, older, firsts = (np.frombuffer(part or b"", dtype=np.uint8) for part in parts)
        at_hand = (row.event_time_us, row.ingested_at_us, hash(row.transaction_id))
        begin_us = row.event_time_us - WINDOW_US
        result, block = past_of((recent, older, firsts), begin_us, at_hand, self._most)
        return UserWindow(block) if result == GOOD else None


def _statement(lag_hours: int) -> str:
    logs = (transaction_history_logs.name, api_transaction_logs.name)
    columns = ", ".join((*KEYS, *PRIOR_COLUMNS))
    recent = " UNION ALL ".join(
        f"SELECT {columns} FROM {log} WHERE user_id = u.user_id AND event_time >= u.begin_us"  # noqa: S608 - own names
        for log in logs
    )
    older = " UNION ALL ".join(
        f"(SELECT {columns} FROM {log} WHERE user_id = u.user_id AND event_time < u.begin_us"  # noqa: S608
        f" ORDER BY {_NEWEST_FIRST} LIMIT 1)"
        for log in logs
    )
    first = " UNION ALL ".join(
        f"(SELECT event_time, ingested_at FROM {log} WHERE user_id = u.user_id"  # noqa: S608
        " ORDER BY event_time, ingested_at LIMIT 1)"
        for log in logs
    )
    return f"""
SELECT u.n::int,
  (SELECT string_agg(record_send(r), ''::bytea) FROM (
     {recent} ORDER BY {_NEWEST_FIRST} LIMIT %(most)s::bigint) AS r),
  (SELECT string_agg(record_send(r), ''::bytea) FROM (
     {older} ORDER BY {_NEWEST_FIRST}) AS r),
  (SELECT string_agg(int8send(event_time) || int8send(ingested_at), ''::bytea) FROM ({first}) AS r)
FROM unnest(%(users)s::text[], %(begins)s::bigint[]) WITH ORDINALITY AS u (user_id, begin_us, n)
UNION ALL
SELECT -m.n::int, (SELECT record_send(s) FROM ({_sums(lag_hours)}) AS s), NULL, NULL
FROM unnest(%(merchants)s::text[], %(ends)s::int[], %(rows_known)s::int[], %(labels_known)s::int[])
  WITH ORDINALITY AS m (merchant_id, ends, rows_known, labels_known, n)
"""  # noqa: S608


def _sums(lag_hours: int) -> str:
    """The SQL of `reader._SUMS`: the six sums of a merchant `m`, in the same order."""

    def total(kind: str, column: str, ago: int, until_ago: int) -> str:
        return (
            f"coalesce(sum({column}) FILTER (WHERE kind = '{kind}'"
            f" AND event_hour >= m.ends - {ago} AND event_hour < m.ends - {until_ago}"
            f" AND known_hour < m.{kind}s_known), 0)::bigint"
        )

    late = lag_hours
    sums = ", ".join((
        total("row", "rows", DAY_HOURS, 0),
        total("row", "rows", late + MONTH_HOURS, late),
        total("label", "rows", late + WEEK_HOURS, late),
        total("label", "positives", late + WEEK_HOURS, late),
        total("label", "rows", late + MONTH_HOURS, late),
        total("label", "positives", late + MONTH_HOURS, late),
    ))  # fmt: skip
    begin = max(late + MONTH_HOURS, DAY_HOURS)
    return (
        f"SELECT {sums} FROM {merchant_tiles.name} WHERE merchant_id = m.merchant_id"  # noqa: S608
        f" AND event_hour >= m.ends - {begin} AND event_hour < m.ends"
    )


def postgres_windows(
    fetch: object, windows: TileWindows, max_prior_rows: int
) -> PostgresWindows | None:
    """For this way of reading; None where it is another database, or the part is not in use."""
    if not isinstance(fetch, PostgresFetch) or not COMPILED_READING.in_use or not hashes_agree():
        return None
    return PostgresWindows(fetch, windows, max_prior_rows)


def warm_up() -> None:
    """Have the compiled function on disk before a database of this kind needs it."""
    if COMPILED_READING.in_use and hashes_agree():
        call_precompiled(load_compiled)


def load_compiled() -> None:
    """Call the compiled function once, with what it is called with."""
    nothing = np.frombuffer(b"", dtype=np.uint8)
    past_of((nothing, nothing, nothing), -MICROS_PER_DAY, (0, 0, hash("")), (1, 2, ROOM_TO_COME))
