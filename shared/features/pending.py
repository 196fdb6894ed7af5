"""Rows that were scored but that the database does not hold yet, found by user."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter

from shared.features.reader import KEYS, PriorRow
from shared.transaction import ATTRIBUTE_OF, Transaction


class PendingRows:
    """Safe to use from several threads; the oldest rows go when there are too many.

    Like the database, it keeps the first row of a transaction_id and ignores later ones.
    """

    def __init__(self, columns: Sequence[str], capacity: int) -> None:
        attributes = [ATTRIBUTE_OF[name] for name in (*KEYS, *columns)]
        self._row_of: Callable[[Transaction], PriorRow] = attrgetter(*attributes)
        self._capacity = capacity
        self._lock = threading.Lock()
        # a plain dict looks past everything removed since it grew last to find its first key
        self._all: OrderedDict[str, Transaction] = OrderedDict()
        self._users: dict[str, dict[str, Transaction]] = {}

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
                else:
                    rows[transaction_id] = transaction
            while len(self._all) > self._capacity:
                self._remove(next(iter(self._all)))

    def of(self, user_id: str) -> list[Transaction]:
        if user_id not in self._users:
            return []
        with self._lock:
            return list(self._users.get(user_id, {}).values())

    def rows_of(self, user_id: str) -> list[PriorRow]:
        return list(map(self._row_of, self.of(user_id)))

    def begins_with(self, count: int, first: str, last: str) -> bool:
        """Whether the oldest `count` rows begin and end with these transaction_ids."""
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
        if not rows:
            del self._users[transaction.user_id]
        return transaction
