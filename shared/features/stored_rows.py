"""Detects rows stored since the last check, so that memory follows other writers.

SQLite only. `PRAGMA data_version` shows, in two microseconds, that another connection has
committed; only then are the new rows queried, by rowid. Most of them are our own, drained from the
journal thousands at a time: the two ends of such a run identify it, and the rows between are not
read. A change by command (`understudy rows`, an import) is noticed by its number. Rows that are
edited or deleted with SQL are not noticed until the windows that hold them expire.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, Table, bindparam, func, literal_column, select

from shared.features.fetch import SqliteFetch, fetch_from
from shared.features.reader import Fetch
from shared.tables.schema import api_transaction_logs, data_changes, transaction_history_logs

MAX_ROWS = 20_000
"""More new rows than this are not listed one by one."""

IsOurs = Callable[[int, str, str], bool]
"""Whether a run of this many rows, from this transaction_id to that, can only be our own."""

_ROWID: Any = literal_column("rowid")
_NEWEST_CHANGE = select(func.max(data_changes.c.changeid))


class StoredRows:
    """Looks through the connection of the thread that asks."""

    def __init__(self, fetch: SqliteFetch) -> None:
        self._fetch = fetch
        self._changed = fetch.changed
        self._logs = tuple(map(_Log, (transaction_history_logs, api_transaction_logs)))
        self._sure = False
        self._newest_change: int | None = None
        self._generation = fetch.generation

    def new(self, is_ours: IsOurs) -> Sequence[tuple[str, str]] | None:
        """(user_id, transaction_id) of rows stored since the last check; None: any row may be new.

        Rows of our own may be among them, or not.

        Raises:
            DataUnavailable: the database cannot be read now; the next check returns None.
        """
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
        """Whether stored rows were corrected, removed or put back since the last look."""
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


def watch(engine: Engine) -> StoredRows | None:
    """A watcher of this database; None where it has no cheap change counter."""
    fetch = fetch_from(engine)
    return StoredRows(fetch) if isinstance(fetch, SqliteFetch) else None
