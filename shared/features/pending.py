"""Rows that were scored but that the database does not hold yet, found by user."""

import threading
from collections.abc import Callable, Sequence
from operator import attrgetter

from shared.features.reader import INGESTED_AT, KEYS, PriorRow
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
        self._users: dict[str, str] = {}
        self._rows: dict[str, dict[str, PriorRow]] = {}

    def __len__(self) -> int:
        return len(self._users)

    def has(self, user_id: str, transaction_id: str) -> bool:
        return self._users.get(transaction_id) == user_id

    def add(self, transaction: Transaction) -> None:
        row = self._row_of(transaction)
        with self._lock:
            if transaction.transaction_id in self._users:
                return
            self._users[transaction.transaction_id] = transaction.user_id
            rows = self._rows.setdefault(transaction.user_id, {})
            rows[transaction.transaction_id] = row
            if len(self._users) > self._capacity:
                self._remove(next(iter(self._users)))

    def of(self, user_id: str) -> list[PriorRow]:
        with self._lock:
            return list(self._rows.get(user_id, {}).values())

    def users_of(self, transaction_ids: Sequence[str]) -> set[str]:
        with self._lock:
            return {self._users[name] for name in transaction_ids if name in self._users}

    def remove(self, transaction_ids: Sequence[str]) -> int | None:
        """Drop rows; says when the earliest of them had been ingested."""
        with self._lock:
            rows = [self._remove(name) for name in transaction_ids if name in self._users]
        return min((row[INGESTED_AT] for row in rows), default=None)

    def _remove(self, transaction_id: str) -> PriorRow:
        user_id = self._users.pop(transaction_id)
        rows = self._rows[user_id]
        row = rows.pop(transaction_id)
        if not rows:
            del self._rows[user_id]
        return row
