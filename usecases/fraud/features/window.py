"""One user's recent rows in the layout of the kernel, with room for the rows to come."""

from collections.abc import Sequence
from sys import intern
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.features.live import Past
from shared.features.reader import FIRST_COLUMN, TRANSACTION_ID, PriorRow
from shared.features.sums_cache import SumsVector
from shared.features.tiles import SUMS
from shared.transaction import Transaction
from shared.usecase.serving import FloatVector
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.features.encoding import (
    PRIOR_COLUMNS,
    bucket_of,
    degrees_of,
    encode,
    place,
    place_of,
)
from usecases.fraud.features.kernel import fill_rows
from usecases.fraud.features.layout import NEVER, UNKNOWN, Codes, History, Scratch, Table

MAX_ROWS = 2_000
"""Of one user; a longer history is read anew each time."""

_ROOM = 8
_MERCHANT, _CATEGORY, _COUNTRY, _LAT, _LON, _DEVICE = (
    FIRST_COLUMN + PRIOR_COLUMNS.index(name)
    for name in ("merchant_id", "merchant_category", "country", "lat", "lon", "device_id")
)
# where a row's past begins and which line is its own: always the first
_FIRST = np.zeros(MAX_ROWS + 1, dtype=np.int64)
_NO_SUMS = np.zeros(len(SUMS), dtype=np.int64)
_Book = dict[str | None, int]


class UserWindow:
    """Rows at [0, size) in order; at `size` lies the row whose features are asked for.

    Used by one thread at a time: rows of one user take turns.
    """

    __slots__ = ("_begin_us", "_categories", "_first_seen", "_history", "_ids", "_known_us",
                 "_last", "_merchants", "_placed", "_places", "expires_at", "size")  # fmt: skip

    def __init__(self, transaction: Transaction, past: Past, expires_at: float) -> None:
        self.expires_at = expires_at
        self.size = len(past.rows)
        self._begin_us = transaction.event_time_us
        self._known_us = transaction.ingested_at_us
        self._first_seen = NEVER if past.first_seen is None else past.first_seen
        self._history = encode(transaction, past, _NO_SUMS).history
        # hashes: taking another row for this one only costs reading anew
        self._ids = np.array([*(hash(row[TRANSACTION_ID]) for row in past.rows), 0], np.int64)
        self._last: PriorRow = past.rows[-1][:FIRST_COLUMN] if past.rows else ()
        self._placed: Transaction | None = transaction
        rows = past.rows
        places = [place(row[_LAT], row[_LON], row[_COUNTRY], row[_DEVICE]) for row in rows]
        self._merchants = _book(
            [*(row[_MERCHANT] for row in rows), transaction.merchant_id], self._history.merchant
        )
        self._categories = _book(
            [*(row[_CATEGORY] for row in rows), transaction.merchant_category],
            self._history.category,
        )
        self._places = _book([*places, place_of(transaction)], self._history.location)

    def covers(self, transaction: Transaction) -> bool:
        """Whether these rows are all that this transaction's features need."""
        return (
            transaction.event_time_us >= self._begin_us
            and transaction.ingested_at_us >= self._known_us
            and not self.has(transaction.transaction_id)
        )

    def has(self, transaction_id: str) -> bool:
        return bool((self._ids[: self.size] == hash(transaction_id)).any())

    def features(self, transaction: Transaction, sums: SumsVector) -> FloatVector:
        """All features of a row that comes after what was loaded."""
        if self._placed is not transaction:
            self._place(transaction)
        at = self.size
        offset_min, home = np.empty(at + 1, np.int64), np.empty((2, at + 1))
        offset_min[at] = transaction.utc_offset_min or 0
        home[:, at] = degrees_of(transaction.home_lat), degrees_of(transaction.home_lon)
        table = Table(
            history=self._history,
            begins=_FIRST,
            first_seen=self._first_seen,
            offset_min=offset_min,
            home_lat=home[0],
            home_lon=home[1],
            sums=sums.reshape(1, -1),
            targets=_FIRST,
        )
        scratch = Scratch(np.empty(at, np.int64), np.zeros(len(self._merchants), np.int64))
        out = np.empty(len(FEATURE_SET.names), dtype=np.float32)
        fill_rows(table, at, at + 1, scratch, out.reshape(1, -1))
        return out

    def add(self, transaction: Transaction) -> bool:
        """Make a row one of the past; False where this window cannot take it and is void."""
        transaction_id = transaction.transaction_id
        key = (transaction.event_time_us, transaction.ingested_at_us, transaction_id)
        if key <= self._last or self.size >= MAX_ROWS:
            return False
        if self._placed is not transaction:
            if self.has(transaction_id):
                return False
            self._place(transaction)
        self._ids[self.size] = hash(transaction_id)
        self._last = key
        self.size += 1
        self._placed = None
        return True

    def _place(self, transaction: Transaction) -> None:
        """Write the row behind the last one."""
        at, history = self.size, self._history
        if at == len(self._ids):
            history = self._history = History(*[_longer(column) for column in history])
            self._ids = _longer(self._ids)
        history.event_time[at] = transaction.event_time_us
        history.ingested_at[at] = transaction.ingested_at_us
        history.bucket[at] = bucket_of(transaction)
        history.amount[at] = transaction.amount
        history.merchant[at] = _code(self._merchants, transaction.merchant_id)
        history.category[at] = _code(self._categories, transaction.merchant_category)
        history.location[at] = _code(self._places, place_of(transaction))
        history.lat[at] = degrees_of(transaction.lat)
        history.lon[at] = degrees_of(transaction.lon)
        self._placed = transaction


def _book(texts: Sequence[str | None], codes: Codes) -> _Book:
    """Which code stands for which text; its length is the next free code."""
    # interned: users share their merchants, and a window is half the size
    shared = [None if text is None else intern(text) for text in texts]
    return dict(zip(shared, codes.tolist(), strict=True))


def _code(book: _Book, text: str | None) -> int:
    return UNKNOWN if text is None else book.setdefault(text, len(book))


def _longer(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    longer = np.empty(len(values) + max(len(values) // 4, _ROOM), dtype=values.dtype)
    longer[: len(values)] = values
    return longer
