"""Decisions kept in memory, so that a retried transaction is answered as before."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from api.journal.entries import Decided


class DecidedCache:
    """Everything the database does not have yet, and the last few thousand it has.

    The first part is bounded by the journal, the second by `capacity`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: dict[str, Decided] = {}
        self._stored: OrderedDict[str, Decided] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, transaction_id: str) -> Decided | None:
        with self._lock:
            found = self._pending.get(transaction_id)
            if found is None and transaction_id in self._stored:
                self._stored.move_to_end(transaction_id)
                found = self._stored[transaction_id]
            return found

    def put(self, decided: Decided) -> None:
        with self._lock:
            self._pending[decided.transaction.transaction_id] = decided

    def is_pending(self, transaction_id: str) -> bool:
        with self._lock:
            return transaction_id in self._pending

    def stored(self, transaction_ids: Iterable[str]) -> None:
        """The database has these now."""
        with self._lock:
            for transaction_id in transaction_ids:
                decided = self._pending.pop(transaction_id, None)
                if decided is not None:
                    self._stored[transaction_id] = decided
            while len(self._stored) > self._capacity:
                self._stored.popitem(last=False)
