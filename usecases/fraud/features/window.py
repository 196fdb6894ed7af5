"""One user's recent rows in the layout of the kernel, with room for the rows to come."""

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.features.live import Past
from shared.features.reader import FIRST_COLUMN, PriorRow
from shared.features.sums_cache import SumsVector
from shared.transaction import Transaction
from shared.usecase.serving import FloatVector
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.features.encoding import degrees_of, encode, region_of, text_code
from usecases.fraud.features.kernel import fill_last
from usecases.fraud.features.layout import ID, NEVER, Rest
from usecases.fraud.features.rows import place_row

_ROOM = 8
_FEATURES = len(FEATURE_SET.names)


class UserWindow:
    """Rows at [0, size) in order; at `size` lies the row whose features are asked for.

    Used by one thread at a time: rows of one user take turns.
    """

    __slots__ = ("_begin_us", "_first_seen", "_integers", "_known_us", "_last", "_numbers",
                 "_placed", "_stamp", "expires_at", "room", "size")  # fmt: skip

    def __init__(self, transaction: Transaction, past: Past, expires_at: float) -> None:
        self.expires_at = expires_at
        self.size = len(past.rows)
        self.room = self.size + _ROOM
        self._begin_us = transaction.event_time_us
        self._known_us = transaction.ingested_at_us
        self._first_seen = NEVER if past.first_seen is None else past.first_seen
        self._integers, self._numbers = encode(past.rows, self.room)
        self._last: PriorRow = past.rows[-1][:FIRST_COLUMN] if past.rows else ()
        self._placed: Transaction | None = None
        self._stamp = 0

    def covers(self, transaction: Transaction) -> bool:
        """Whether these rows are all that this transaction's features need."""
        return (
            transaction.event_time_us >= self._begin_us
            and transaction.ingested_at_us >= self._known_us
            and self._place(transaction)
        )

    def has(self, transaction_id: str) -> bool:
        # a hash: taking another row for this one only costs reading anew
        return bool((self._integers[ID, : self.size] == hash(transaction_id)).any())

    def features(self, transaction: Transaction, sums: SumsVector) -> FloatVector:
        """All features of a row that this window covers."""
        self._stamp += 1
        rest = Rest(
            self._first_seen,
            self._stamp,
            sums,
            transaction.utc_offset_min or 0,
            degrees_of(transaction.home_lat),
            degrees_of(transaction.home_lon),
        )
        out = np.empty(_FEATURES, dtype=np.float32)
        fill_last(self._integers, self._numbers, self.size, rest, out)
        return out

    def add(self, transaction: Transaction) -> bool:
        """Make a row one of the past; False where this window cannot take it and is void."""
        transaction_id = transaction.transaction_id
        key = (transaction.event_time_us, transaction.ingested_at_us, transaction_id)
        if key <= self._last:
            return False
        if self._placed is not transaction and not self._place(transaction):
            return False
        self._last = key
        self.size += 1
        self._placed = None
        return True

    def _place(self, transaction: Transaction) -> bool:
        """Write the row behind the last one; False where its id is among the rows."""
        if self.size == self.room:
            self.room += max(self.room // 4, _ROOM)
            self._integers = _wider(self._integers, self.room)
            self._numbers = _wider(self._numbers, self.room)
        placed = place_row(
            self._integers,
            self._numbers,
            self.size,
            transaction.event_time_us,
            transaction.ingested_at_us,
            hash(transaction.transaction_id),
            transaction.utc_offset_min or 0,
            text_code(transaction.merchant_id),
            text_code(transaction.merchant_category),
            region_of(transaction),
            transaction.amount,
            degrees_of(transaction.lat),
            degrees_of(transaction.lon),
        )
        self._placed = transaction if placed else None
        return bool(placed)


def features_alone(transaction: Transaction, past: Past, sums: SumsVector) -> FloatVector:
    """All features of a row with a past that was read for it and is not kept."""
    window = UserWindow(transaction, past, 0.0)
    window.covers(transaction)
    return window.features(transaction, sums)


def _wider(lines: npt.NDArray[Any], room: int) -> npt.NDArray[Any]:
    wider = np.zeros((len(lines), room), dtype=lines.dtype)
    wider[:, : lines.shape[1]] = lines
    return wider
