"""What is known about a transaction's user and merchant at the instant it comes in."""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.features.guard import ReadGuard
from shared.features.pending import PendingRows
from shared.features.reader import (
    EVENT_TIME,
    INGESTED_AT,
    TRANSACTION_ID,
    HistoryReader,
    PriorRow,
)
from shared.features.sums_cache import SumsCache
from shared.features.tiles import NO_SUMS, Sums, tile_hours
from shared.transaction import Label, Transaction

WINDOW_US = 30 * MICROS_PER_DAY
FOREVER = 2**63 - 1
_ORIGIN = itemgetter(-1)


class Past(NamedTuple):
    """A user's past.

    Attributes:
        rows: in (event_time, ingested_at, transaction_id) order; all of the last 30 days that
            are stored or pending, and the newest older one where the window has none.
        first_seen: the earliest stored event time that was visible, if any.
    """

    rows: list[PriorRow]
    first_seen: int | None


class LiveHistory:
    """Stored history merged with pending rows; goes on with the latter when the database is down.

    Attributes:
        guard: counts how often the database could not be asked.
    """

    def __init__(
        self, reader: HistoryReader, pending: PendingRows, cache: SumsCache, guard: ReadGuard
    ) -> None:
        self.guard = guard
        self._reader = reader
        self._pending = pending
        self._cache = cache

    def past(self, transaction: Transaction) -> Past:
        # Pending first: a row that is stored meanwhile is then seen twice, never missed.
        pending = self._pending.rows_of(transaction.user_id)
        stored = self.guard.read(lambda: self._stored(transaction, pending), Past([], None))
        rows = _merge(stored.rows, pending)
        rows.pop(transaction.transaction_id, None)
        return Past(sorted(rows.values()), stored.first_seen)

    def lasting(self, transaction: Transaction) -> Past | None:
        """A past that holds for every later row of the user too, as long as nothing is stored.

        Rows that are not visible yet are in it, and `first_seen` is that of rows before the
        window alone. None where no such past can be told, or the database cannot be read.
        """
        pending = self._pending.rows_of(transaction.user_id)
        stored = self.guard.read(lambda: self._lasting(transaction, pending), None)
        if stored is None:
            return None
        rows = _merge(stored.rows, pending)
        twins = len(rows) < len(stored.rows) + len(pending)
        if twins or transaction.transaction_id in rows:
            return None
        return Past(sorted(rows.values()), stored.first_seen)

    def sums(self, transaction: Transaction) -> Sums:
        """The merchant's sums, in the order of `shared.features.tiles.SUMS`; zeros if unknown."""
        known = self._cache.known(
            transaction.merchant_id, transaction.event_time_us, transaction.ingested_at_us
        )
        return self._read_sums(transaction) if known is None else known

    def remember(self, transactions: Sequence[Transaction]) -> None:
        self._pending.add(transactions)

    def pending_of(self, user_id: str) -> Sequence[Transaction]:
        """The user's rows that were remembered and have not been forgotten."""
        return self._pending.of(user_id)

    def is_pending(self, user_id: str, transaction_id: str) -> bool:
        """Whether this row was remembered and has not been forgotten."""
        return self._pending.has(user_id, transaction_id)

    def are_next(self, count: int, first: str, last: str) -> bool:
        """Whether so many new rows in the log, from this id to that, are pending ones and no other.

        Rows are stored in the order in which they were remembered. When the oldest and the
        last of so many have been stored, so have those between: there is room for no stranger.
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

    def _read_sums(self, transaction: Transaction) -> Sums:
        merchant_id = transaction.merchant_id
        hours = tile_hours(transaction.event_time_us, transaction.ingested_at_us)

        def read() -> Sums:
            return self._cache.get(
                merchant_id, hours, lambda: self._reader.sums(merchant_id, hours)
            )

        return self.guard.read(read, NO_SUMS)

    def _stored(self, transaction: Transaction, pending: Sequence[PriorRow]) -> Past:
        user_id, known_us = transaction.user_id, transaction.ingested_at_us
        end_us = transaction.event_time_us
        begin_us = end_us - WINDOW_US
        rows = list(self._reader.window(user_id, begin_us, end_us))
        if not _any_visible(chain(rows, pending), transaction):
            rows.extend(self._reader.before(user_id, begin_us, known_us))
        return Past(rows, self._reader.first_seen(user_id, end_us, known_us))

    def _lasting(self, transaction: Transaction, pending: Sequence[PriorRow]) -> Past | None:
        user_id, known_us = transaction.user_id, transaction.ingested_at_us
        begin_us = transaction.event_time_us - WINDOW_US
        rows = list(self._reader.window(user_id, begin_us, FOREVER))
        older: Sequence[PriorRow] = ()
        if not _any_visible(chain(rows, pending), transaction):
            older = self._reader.before(user_id, begin_us, FOREVER)
        first = self._reader.first(user_id, begin_us, FOREVER)
        # Were the newest or the oldest of the older rows still to be ingested, another would
        # take its place until then.
        if any(row[INGESTED_AT] > known_us for row in chain(older, first)):
            return None
        return Past([*rows, *older], min((row[EVENT_TIME] for row in first), default=None))


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
