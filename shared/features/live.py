"""The history of a transaction's user and merchant, as known when the transaction arrives."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, TypeVar

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.features.pending import NewestPending, PendingRows
from shared.features.reader import (
    EVENT_TIME,
    INGESTED_AT,
    TRANSACTION_ID,
    HistoryReader,
    PriorRow,
)
from shared.features.tiles import NO_SUMS, Sums, SumsCache, TileHours, tile_hours
from shared.tables.reads import ReadGuard
from shared.transaction import Label, Transaction

WINDOW_US = 30 * MICROS_PER_DAY
FOREVER = 2**63 - 1
_ORIGIN = itemgetter(-1)
Answer = TypeVar("Answer")


class Past(NamedTuple):
    """A user's past.

    Attributes:
        rows: in (event_time, ingested_at, transaction_id) order; of the last 30 days, stored or
            pending, all or at least the newest that count, and the newest older one where the
            window has none.
        first_seen: the earliest event time that was visible and is not among the rows, if any.
    """

    rows: list[PriorRow]
    first_seen: int | None


Key = tuple[int, int, str]
"""The sort key of rows."""


class _Stored(NamedTuple):
    """The rows read, unordered; rows older than `cut` remain in the database."""

    rows: list[PriorRow]
    first_seen: int | None
    cut: Key | None


_NOTHING = _Stored([], None, None)


class LiveHistory:
    """Stored history merged with pending rows; goes on with the latter when the database is down.

    Attributes:
        guard: counts how often the database could not be asked.
        max_prior_rows: how many of a user's rows count at most, the newest ones.
    """

    def __init__(
        self,
        reader: HistoryReader,
        pending: PendingRows,
        cache: SumsCache,
        guard: ReadGuard,
        max_prior_rows: int,
    ) -> None:
        self.guard = guard
        self.max_prior_rows = max_prior_rows
        self._reader = reader
        self._pending = pending
        self._cache = cache

    def past(self, transaction: Transaction) -> Past:
        most_rows = rows_to_read(self.max_prior_rows)
        while True:
            past = self._past(transaction, most_rows)
            if past is not None:
                return past
            # Many of the newest rows are not visible, or are duplicates: rare, so read more.
            most_rows *= 4

    def lasting(self, transaction: Transaction) -> Past | None:
        """A history that also holds for the user's later rows, until a row is stored.

        It includes rows that are not visible yet; `first_seen` covers only rows older than these.
        None where no such history can be determined, or the database cannot be read.
        """
        most_rows = rows_to_read(self.max_prior_rows)
        pending = self._pending.newest_of(transaction.user_id, most_rows)
        newest = list(map(self._pending.row_of, pending.rows))
        stored = self.guard.read(lambda: self._lasting(transaction, newest, most_rows), None)
        if stored is None:
            return None
        rows = _merge(stored.rows, newest)
        duplicates = len(rows) < len(stored.rows) + len(newest)
        if duplicates or transaction.transaction_id in rows:
            return None
        return self._whole(transaction, rows, stored, pending)

    def unknown_sums(self, rows: Sequence[Transaction]) -> list[tuple[str, TileHours]]:
        """The merchants and hours whose sums would have to be read, each once."""
        known = self._cache.known
        return list(
            dict.fromkeys(
                (row.merchant_id, tile_hours(row.event_time_us, row.ingested_at_us))
                for row in rows
                if known(row.merchant_id, row.event_time_us, row.ingested_at_us) is None
            )
        )

    def keep_sums(
        self, read: Callable[[], tuple[Answer, Mapping[tuple[str, TileHours], Sums]]]
    ) -> Answer:
        """Call what reads sums and something else, and keep the sums."""
        generation = self._cache.generation
        answer, sums = read()
        self._cache.put(sums, generation)
        return answer

    def sums(self, transaction: Transaction) -> Sums:
        """The merchant's sums, in the order of `shared.features.tiles.SUMS`; zeros if unknown."""
        known = self._cache.known(
            transaction.merchant_id, transaction.event_time_us, transaction.ingested_at_us
        )
        return self._read_sums(transaction) if known is None else known

    def remember(self, transactions: Sequence[Transaction]) -> None:
        self._pending.add(transactions)

    def pending_of(self, user_id: str) -> NewestPending:
        """The user's newest rows that were remembered and have not been forgotten."""
        return self._pending.newest_of(user_id, rows_to_read(self.max_prior_rows))

    def has_pending(self, user_id: str) -> bool:
        return self._pending.has_any(user_id)

    def is_pending(self, user_id: str, transaction_id: str) -> bool:
        """True if this row was remembered and has not been forgotten."""
        return self._pending.has(user_id, transaction_id)

    def are_next(self, count: int, first: str, last: str) -> bool:
        """True if this many new log rows, between two ids, are all pending ones.

        Rows are stored in the order in which they were remembered. When the oldest and the last of
        this many have been stored, so have those between: the count leaves no room for other rows.
        """
        return self._pending.begins_with(count, first, last)

    def forget(self, transaction_ids: Sequence[str]) -> None:
        ingested_at = self._pending.remove(transaction_ids)
        if ingested_at is not None:
            self._cache.invalidate(ingested_at // MICROS_PER_HOUR)

    def withdraw(self, transaction_ids: Sequence[str]) -> set[str]:
        """Take back rows that were never recorded; returns their users."""
        users = self._pending.users_of(transaction_ids)
        self._pending.remove(transaction_ids)
        return users

    def learned(self, labels: Sequence[Label]) -> None:
        if labels:
            known_at = min(label.label_known_at_us for label in labels)
            self._cache.invalidate(known_at // MICROS_PER_HOUR)

    def drop_sums(self) -> None:
        """Read the sums of merchants again: stored rows may have been changed."""
        self._cache.invalidate(0)

    def _read_sums(self, transaction: Transaction) -> Sums:
        merchant_id = transaction.merchant_id
        hours = tile_hours(transaction.event_time_us, transaction.ingested_at_us)

        def read() -> Sums:
            return self._cache.get(
                merchant_id, hours, lambda: self._reader.sums(merchant_id, hours)
            )

        return self.guard.read(read, NO_SUMS)

    def _past(self, transaction: Transaction, most_rows: int) -> Past | None:
        """None where this many rows are not enough to find those that count."""
        # Pending rows first: a row that is stored meanwhile is then seen twice, never missed.
        pending = self._pending.newest_of(transaction.user_id, most_rows)
        newest = list(map(self._pending.row_of, pending.rows))
        stored = self.guard.read(lambda: self._stored(transaction, newest, most_rows), _NOTHING)
        rows = _merge(stored.rows, newest)
        rows.pop(transaction.transaction_id, None)
        return self._whole(transaction, rows, stored, pending)

    def _whole(
        self,
        transaction: Transaction,
        rows: dict[str, PriorRow],
        stored: _Stored,
        pending: NewestPending,
    ) -> Past | None:
        """The past of what was read, if all that counts is in it."""
        first_seen, cut = stored.first_seen, stored.cut
        if pending.oldest_us is not None:
            oldest = pending.rows[0]
            key = (oldest.event_time_us, oldest.ingested_at_us, oldest.transaction_id)
            cut = key if cut is None else max(cut, key)
            if pending.oldest_us < transaction.event_time_us:
                first_seen = _earlier(first_seen, pending.oldest_us)
        in_order = sorted(rows.values())
        return Past(in_order, first_seen) if self._is_enough(in_order, cut, transaction) else None

    def _is_enough(
        self, rows: Sequence[PriorRow], cut: Key | None, transaction: Transaction
    ) -> bool:
        """True if all rows that count are present, when only those from `cut` on are certain."""
        if cut is None:
            return True
        end_us, known_us = transaction.event_time_us, transaction.ingested_at_us
        visible = sum(
            key_of(row) >= cut and row[EVENT_TIME] < end_us and row[INGESTED_AT] <= known_us
            for row in rows
        )
        return bool(visible >= self.max_prior_rows)

    def _stored(
        self, transaction: Transaction, pending: Sequence[PriorRow], most_rows: int
    ) -> _Stored:
        user_id, known_us = transaction.user_id, transaction.ingested_at_us
        end_us = transaction.event_time_us
        begin_us = end_us - WINDOW_US
        rows = list(self._reader.window(user_id, begin_us, end_us, most_rows))
        cut = key_of(rows[-1]) if len(rows) == most_rows else None
        if cut is None and not _any_visible(chain(rows, pending), transaction):
            rows.extend(self._reader.before(user_id, begin_us, known_us))
        return _Stored(rows, self._reader.first_seen(user_id, end_us, known_us), cut)

    def _lasting(
        self, transaction: Transaction, pending: Sequence[PriorRow], most_rows: int
    ) -> _Stored | None:
        user_id, known_us = transaction.user_id, transaction.ingested_at_us
        begin_us = transaction.event_time_us - WINDOW_US
        rows = list(self._reader.window(user_id, begin_us, FOREVER, most_rows))
        cut = key_of(rows[-1]) if len(rows) == most_rows else None
        older: Sequence[PriorRow] = ()
        if cut is not None:
            begin_us = cut[0] + 1
        elif not _any_visible(chain(rows, pending), transaction):
            older = self._reader.before(user_id, begin_us, FOREVER)
        first = self._reader.first(user_id, begin_us, FOREVER)
        # If one of these rows has a later ingestion time than this request, the cached value
        # would be wrong until then: do not cache.
        if any(row[INGESTED_AT] > known_us for row in chain(older, first)):
            return None
        first_seen = min((row[EVENT_TIME] for row in first), default=None)
        return _Stored([*rows, *older], first_seen, cut)


def rows_to_read(max_prior_rows: int) -> int:
    """The number of a user's newest rows to read, with a margin for rows that are a little late."""
    return max_prior_rows + max(max_prior_rows // 32, 4)


def key_of(row: PriorRow) -> Key:
    return row[EVENT_TIME], row[INGESTED_AT], row[TRANSACTION_ID]


def _earlier(first_seen: int | None, event_us: int) -> int:
    return event_us if first_seen is None else min(first_seen, event_us)


def _any_visible(rows: Iterable[PriorRow], transaction: Transaction) -> bool:
    end_us, known_us = transaction.event_time_us, transaction.ingested_at_us
    return any(
        end_us - WINDOW_US <= row[EVENT_TIME] < end_us and row[INGESTED_AT] <= known_us
        for row in rows
    )


def _merge(stored: Sequence[PriorRow], pending: Sequence[PriorRow]) -> dict[str, PriorRow]:
    """One row per transaction_id: the API's log before imported history before pending ones."""
    rows = {row[TRANSACTION_ID]: row for row in stored}
    if len(rows) < len(stored):
        rows = {row[TRANSACTION_ID]: row for row in sorted(stored, key=_ORIGIN)}
    for row in pending:
        rows.setdefault(row[TRANSACTION_ID], row)
    return rows
