"""One user's recent rows in the layout of the kernel, with room for the rows to come."""

from collections.abc import Sequence

import numpy as np

from shared.features.live import Past
from shared.features.tiles import NO_SUMS, Sums
from shared.transaction import Transaction
from shared.usecase.serving import FloatMatrix, FloatVector

from .catalogue import FEATURE_SET
from .encoding import encode, new_rows, put_row
from .layout import (
    BEGIN,
    FIRST_SEEN,
    HEADER,
    ID,
    KNOWN,
    MOST,
    NEVER,
    SIZE,
    VOID,
    Micros,
)
from .row_batch import ADD, TELL, take
from .rows import facts_of, newest_of, wider

ROOM_TO_COME = 8
_FEATURES = len(FEATURE_SET.names)
_NOTHING = np.empty((1, _FEATURES), dtype=np.float32)


class UserWindow:
    """A block of rows, in order. Used by one thread at a time.

    Attributes:
        block: the rows as the kernel reads them; another one when there is room for more.
        address: of the block, until the next row is given room.
        taken: reserved positions; some may be empty.
        room: positions that the block has memory for.
        expires_at: the instant from which it has to be reread.
        place: this and `used` belong to the cache that holds it.
    """

    __slots__ = ("address", "block", "expires_at", "place", "room", "taken", "used")

    def __init__(self, block: Micros) -> None:
        self.expires_at = 0.0
        self.place = self.used = 0
        self.taken = self._hold(block)

    @classmethod
    def of(cls, past: Past, transaction: Transaction, most: int) -> "UserWindow":
        """A window that covers this row and those after it.

        `most` is the maximum number of prior rows that count, the newest ones.
        """
        block = encode(past.rows, len(past.rows) + ROOM_TO_COME)
        block[BEGIN] = transaction.event_time_us
        block[KNOWN] = transaction.ingested_at_us
        block[FIRST_SEEN] = NEVER if past.first_seen is None else past.first_seen
        block[MOST] = most
        return cls(block)

    @property
    def size(self) -> int:
        return int(self.block[SIZE])

    @property
    def is_void(self) -> bool:
        return self.size == VOID

    def has(self, transaction_id: str) -> bool:
        # a hash: a collision only costs another read
        begin = HEADER + ID * self.room
        return bool((self.block[begin : begin + self.size] == hash(transaction_id)).any())

    def give_room(self, places: int = 1) -> None:
        """Give away places behind the rows."""
        if self.taken + places > self.room:
            self._make_room(places)
        self.taken += places

    def features(self, transaction: Transaction, sums: Sums) -> FloatVector | None:
        """All features of a row; None where these rows are not all that it needs."""
        self.give_room()
        self.taken -= 1
        out = np.empty((1, _FEATURES), dtype=np.float32)
        return out[0] if self._take((transaction,), sums, TELL, out) else None

    def add(self, *transactions: Transaction) -> bool:
        """Make rows some of the past; False where this window cannot take one and is void."""
        self.give_room(len(transactions))
        return self._take(transactions, NO_SUMS, ADD, _NOTHING)

    def _make_room(self, places: int) -> None:
        """Grow, or let go of rows that no longer count."""
        size, most = self.size, int(self.block[MOST])
        if size >= most + max(most // 4, ROOM_TO_COME):
            # Keep half of the surplus, for rows that arrive slightly late.
            keep, waiting = most + max(most // 8, ROOM_TO_COME // 2), self.taken - size
            room = keep + waiting + places + max(most // 8, ROOM_TO_COME)
            less = newest_of(self.block, most, keep, room)
            if len(less):
                self.taken = self._hold(less) + waiting
                return
            self.block[SIZE] = VOID
        self._hold(wider(self.block, self.room + max(self.room // 8, places, ROOM_TO_COME)))

    def _take(
        self, transactions: Sequence[Transaction], sums: Sums, wanted: int, out: FloatMatrix
    ) -> bool:
        count = len(transactions)
        rows = new_rows(count)
        for at, transaction in enumerate(transactions):
            put_row(rows.data, at, 0, transaction, sums)
        return take([self] * count, rows, wanted, out) is None

    def _hold(self, block: Micros) -> int:
        self.block = block
        size, self.room, self.address = facts_of(block)
        return size
