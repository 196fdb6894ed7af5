"""Rows that were scored but that the database does not hold yet, found by user."""

import threading
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from shared.features.reader import KEYS, PriorRow
from shared.transaction import ATTRIBUTE_OF, Transaction

_Key = tuple[int, int, str]
_MANY = 1_000
"""The number of rows from which a user's rows are kept sorted, for quick access to the newest."""


class NewestPending(NamedTuple):
    """A user's newest pending rows.

    Attributes:
        rows: in (event_time, ingested_at, transaction_id) order.
        oldest_us: the event time of the oldest pending row where there are more; else None.
    """

    rows: list[Transaction]
    oldest_us: int | None


class PendingRows:
    """Safe to use from several threads; the oldest rows go when there are too many.

    Like the database, it keeps the first row of a transaction_id and ignores later ones.
    """

    def __init__(self, columns: Sequence[str], capacity: int, many: int = _MANY) -> None:
        attributes = [ATTRIBUTE_OF[name] for name in (*KEYS, *columns)]
        self.row_of: Callable[[Transaction], PriorRow] = attrgetter(*attributes)
        self._capacity = capacity
        self._many = many
        self._lock = threading.Lock()
        # OrderedDict: a plain dict scans past removed entries to find its first key
        self._all: OrderedDict[str, Transaction] = OrderedDict()
        self._users: dict[str, dict[str, Transaction]] = {}
        self._in_order: dict[str, list[_Key]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def has(self, user_id: str, transaction_id: str) -> bool:
        return transaction_id in self._users.get(user_id, ())

    def add(self, transactions: Sequence[Transaction]) -> None:
        with self._lock:
            for transaction in transactions:
                transaction_id, user_id = transaction.transaction_id, transaction.user_id
                if transaction_id in self._all:
                    continue
                self._all[transaction_id] = transaction
                rows = self._users.get(user_id)
                if rows is None:
                    self._users[user_id] = {transaction_id: transaction}
                    continue
                rows[transaction_id] = transaction
                if self._in_order or len(rows) >= self._many:
                    self._put_in_order(transaction, rows)
            while len(self._all) > self._capacity:
                self._remove(next(iter(self._all)))

    def has_any(self, user_id: str) -> bool:
        return user_id in self._users

    def of(self, user_id: str) -> list[Transaction]:
        if user_id not in self._users:
            return []
        with self._lock:
            return list(self._users.get(user_id, {}).values())

    def newest_of(self, user_id: str, most_rows: int) -> NewestPending:
        """A bounded number of a user's rows, whatever number is pending."""
        rows = self._users.get(user_id)
        if rows is None:
            return NewestPending([], None)
        with self._lock:
            in_order = self._in_order.get(user_id)
            if in_order is None or len(in_order) <= most_rows:
                found = sorted(rows.values(), key=_key)
            else:
                found = [rows[key[2]] for key in in_order[-most_rows:]]
            more = len(rows) > most_rows
            return NewestPending(found[-most_rows:], self._oldest_of(found, in_order, more))

    def rows_of(self, user_id: str) -> list[PriorRow]:
        return list(map(self.row_of, self.of(user_id)))

    def begins_with(self, count: int, first: str, last: str) -> bool:
        """True if the oldest `count` rows begin and end with these transaction_ids."""
        with self._lock:
            return (
                next(iter(self._all), None) == first
                and next(islice(self._all, count - 1, None), None) == last
            )

    def users_of(self, transaction_ids: Sequence[str]) -> set[str]:
        with self._lock:
            return {self._all[name].user_id for name in transaction_ids if name in self._all}

    def remove(self, transaction_ids: Sequence[str]) -> int | None:
        """Drop rows; says when the earliest of them had been ingested."""
        with self._lock:
            rows = [self._remove(name) for name in transaction_ids if name in self._all]
        return min((row.ingested_at_us for row in rows), default=None)

    def _remove(self, transaction_id: str) -> Transaction:
        transaction = self._all.pop(transaction_id)
        rows = self._users[transaction.user_id]
        del rows[transaction_id]
        if self._in_order:
            self._take_out_of_order(transaction, rows)
        if not rows:
            del self._users[transaction.user_id]
        return transaction

    def _put_in_order(self, transaction: Transaction, rows: dict[str, Transaction]) -> None:
        in_order = self._in_order.get(transaction.user_id)
        if in_order is not None:
            insort(in_order, _key(transaction))
        elif len(rows) >= self._many:
            self._in_order[transaction.user_id] = sorted(map(_key, rows.values()))

    def _take_out_of_order(self, transaction: Transaction, rows: dict[str, Transaction]) -> None:
        in_order = self._in_order.get(transaction.user_id)
        if in_order is None:
            return
        if len(rows) < self._many // 2:
            del self._in_order[transaction.user_id]
        else:
            del in_order[bisect_left(in_order, _key(transaction))]

    @staticmethod
    def _oldest_of(
        found: Sequence[Transaction], in_order: Sequence[_Key] | None, more: bool
    ) -> int | None:
        if not more:
            return None
        return found[0].event_time_us if in_order is None else in_order[0][0]


_key: Callable[[Transaction], _Key] = attrgetter(
    "event_time_us", "ingested_at_us", "transaction_id"
)
