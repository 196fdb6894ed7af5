"""Decisions kept in memory, so that a retried transaction is answered as before.

They are kept as the journal has them: one string of bytes each, which the garbage collector
need not look into, and which is read only when somebody retries.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from api.journal.entries import Decided, decided_from_record, decode
from shared.transaction import Label
from shared.usecase.serving import ServedModel

_Kept = tuple[bytes, ServedModel]


class DecidedCache:
    """Everything the database does not have yet, and the last few thousand it has.

    The first part is bounded by the journal, the second by `capacity`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: dict[str, _Kept] = {}
        self._stored: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, transaction_id: str) -> Decided | None:
        return self.among((transaction_id,)).get(transaction_id)

    def among(self, transaction_ids: Iterable[str]) -> dict[str, Decided]:
        """What is kept about those of these ids that are known."""
        found: dict[str, _Kept] = {}
        pending, stored = self._pending, self._stored
        with self._lock:
            for transaction_id in transaction_ids:
                if transaction_id in pending:
                    found[transaction_id] = pending[transaction_id]
                elif transaction_id in stored:
                    stored.move_to_end(transaction_id)
                    found[transaction_id] = stored[transaction_id]
        return {transaction_id: _decided(*kept) for transaction_id, kept in found.items()}

    def put(self, decisions: Iterable[tuple[str, bytes, ServedModel]]) -> None:
        """Keep decisions by their ids, as the journal has them."""
        with self._lock:
            for transaction_id, record, served in decisions:
                self._pending[transaction_id] = record, served

    def is_pending(self, transaction_id: str) -> bool:
        with self._lock:
            return transaction_id in self._pending

    def stored(self, transaction_ids: Iterable[str]) -> None:
        """The database has these now."""
        with self._lock:
            for transaction_id in transaction_ids:
                kept = self._pending.pop(transaction_id, None)
                if kept is not None:
                    self._stored[transaction_id] = kept
            while len(self._stored) > self._capacity:
                self._stored.popitem(last=False)


def _decided(record: bytes, served: ServedModel) -> Decided:
    content = decode(record)
    if isinstance(content, Label):
        raise TypeError("a label was kept where a decision belongs")
    return decided_from_record(content, served.thresholds)
