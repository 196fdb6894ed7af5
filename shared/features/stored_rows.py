"""Detects rows stored since the last check, so that memory follows other writers.

On SQLite `PRAGMA data_version` shows, in two microseconds, that another connection has
committed; only then are the new rows queried, by rowid. Most of them are our own, drained from the
journal thousands at a time: the two ends of such a run identify it, and the rows between are not
read. A change by command (`understudy rows`, an import) is noticed by its number. Rows that are
edited or deleted with SQL are not noticed until the windows that hold them expire.

On PostgreSQL asking costs a round trip, so it is done ten times a second: a row that another
process stores is seen a tenth of a second later. Each row has the number of the transaction that
stored it; those below the oldest one still open are complete, and are not read again.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Engine, Table, bindparam, func, literal_column, select

from shared.errors import DataUnavailable
from shared.features.fetch import PostgresFetch, SqliteFetch, fetch_from
from shared.features.reader import Fetch
from shared.tables.schema import api_transaction_logs, data_changes, transaction_history_logs

MAX_ROWS = 20_000
"""More new rows than this are not listed one by one."""

IsOurs = Callable[[int, str, str], bool]
"""True if a run of this many rows, between two transaction_ids, can only be our own."""

LOOK_SECONDS = 0.1
"""Between two looks at PostgreSQL."""

_ROWID: Any = literal_column("rowid")
_NEWEST_CHANGE = select(func.max(data_changes.c.changeid))


class RowWatch(Protocol):
    """Tells which rows were stored since it was asked last."""

    def new(self, is_ours: IsOurs, *, at_once: bool = False) -> Sequence[tuple[str, str]] | None:
        """(user_id, transaction_id) of rows stored since the last check; None: any row may be new.

        Rows of our own may be among them, or not. `at_once`: now, however recently it looked.

        Raises:
            DataUnavailable: the database cannot be read now; the next check returns None.
        """
        ...


class StoredRows:
    """SQLite's. Looks through the connection of the thread that asks."""

    def __init__(self, fetch: SqliteFetch) -> None:
        self._fetch = fetch
        self._changed = fetch.changed
        self._logs = tuple(map(_Log, (transaction_history_logs, api_transaction_logs)))
        self._sure = False
        self._newest_change: int | None = None
        self._generation = fetch.generation

    def new(self, is_ours: IsOurs, *, at_once: bool = False) -> Sequence[tuple[str, str]] | None:
        """See RowWatch; it always looks."""
        del at_once
        if self._generation != self._fetch.generation:
            self._sure, self._generation = False, self._fetch.generation
        if self._sure and not self._changed():
            return ()
        sure, self._sure = self._sure, False
        if not sure:
            self._changed()
        found = [log.new(self._fetch, is_ours) for log in self._logs]
        is_changed = self._is_changed_by_command()
        self._sure = True
        if not sure or is_changed or None in found:
            return None
        return [row for rows in found if rows for row in rows]

    def _is_changed_by_command(self) -> bool:
        """True if stored rows were corrected, removed or put back since the last look."""
        ((newest,),) = self._fetch(_NEWEST_CHANGE, {})
        before, self._newest_change = self._newest_change, newest
        return bool(before != newest)


class _Log:
    """One table and the last row of it that was seen."""

    def __init__(self, table: Table) -> None:
        self._last = 0
        self._newest = select(func.max(_ROWID)).select_from(table)
        self._ends = (
            select(table.c.transaction_id)
            .where(_ROWID.in_((bindparam("first"), bindparam("newest"))))
            .order_by(_ROWID)
        )
        self._rows = select(table.c.user_id, table.c.transaction_id).where(
            bindparam("last") < _ROWID, bindparam("newest") >= _ROWID
        )

    def new(self, fetch: Fetch, is_ours: IsOurs) -> Sequence[Any] | None:
        ((newest,),) = fetch(self._newest, {})
        last, self._last = self._last, newest or 0
        if self._last == last:
            return ()
        if not last < self._last <= last + MAX_ROWS:
            return None
        ends = fetch(self._ends, {"first": last + 1, "newest": self._last})
        if ends and is_ours(self._last - last, ends[0][0], ends[-1][0]):
            return ()
        return fetch(self._rows, {"last": last, "newest": self._last})


class PostgresStoredRows:
    """For PostgreSQL. While the database is away rows in memory stay; then they are read again."""

    def __init__(self, fetch: PostgresFetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._look_at = float("-inf")
        self._sure = False
        self._connections = 0
        # rows of database transactions from this id on may have been uncommitted at the last poll
        self._complete_below = "0"
        self._newest_change: str | None = None
        self._seen: set[str] = set()

    def new(self, is_ours: IsOurs, *, at_once: bool = False) -> Sequence[tuple[str, str]] | None:
        """See RowWatch; never raises: what cannot be asked now is asked at the next look."""
        del is_ours
        now = self._clock()
        if now < self._look_at and not at_once:
            return ()
        self._look_at = now + LOOK_SECONDS
        asked = {"below": self._complete_below, "most": MAX_ROWS + 1 if self._sure else 0}
        sure, self._sure = self._sure, False
        try:
            (_, below, change), *rows = self._fetch.rows(_NEW_ROWS, asked)
        except DataUnavailable:
            return ()
        is_other = self._connections != self._fetch.connections or self._newest_change != change
        self._connections, self._newest_change = self._fetch.connections, change
        self._sure, self._complete_below = True, below
        if not sure or is_other or len(rows) > MAX_ROWS:
            self._seen.clear()
            return None
        return self._unseen(rows, int(below))

    def _unseen(self, rows: Sequence[Any], below: int) -> list[tuple[str, str]]:
        """Rows that no earlier look found while an older transaction was still open."""
        before, self._seen = self._seen, {row[1] for row in rows if int(row[2]) >= below}
        return [(row[0], row[1]) for row in rows if row[1] not in before]


# With an upper bound the planner expects few rows and uses the index; without one, and before
# the first ANALYZE of a large table, it expects a third of all rows and scans the table.
_LAST = 2**63 - 1
_NEW_ROWS = f"""
SELECT NULL, pg_snapshot_xmin(pg_current_snapshot())::text,
       (SELECT max(changeid) FROM {data_changes.name})::text
UNION ALL (SELECT user_id, transaction_id, xact::text FROM {transaction_history_logs.name}
           WHERE xact BETWEEN %(below)s::bigint AND {_LAST} ORDER BY xact LIMIT %(most)s)
UNION ALL (SELECT user_id, transaction_id, xact::text FROM {api_transaction_logs.name}
           WHERE xact BETWEEN %(below)s::bigint AND {_LAST} ORDER BY xact LIMIT %(most)s)
"""  # noqa: S608 - own names


def watch(engine: Engine) -> RowWatch | None:
    """A watcher of this database; None where it has no cheap change counter."""
    fetch = fetch_from(engine)
    if isinstance(fetch, SqliteFetch):
        return StoredRows(fetch)
    return PostgresStoredRows(fetch) if isinstance(fetch, PostgresFetch) else None
