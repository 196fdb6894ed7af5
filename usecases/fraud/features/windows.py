"""Recent rows of active users, encoded once and kept, so that a known user costs no read.

A kept window gives the same bits as reading and encoding anew: it holds what
`LiveHistory.lasting` promises to stay right, rows are added as they are remembered, and a
window is dropped when the database got rows of that user from anybody else, when rows come
out of order, and when it is old. What somebody edits or deletes by hand in the logs is
therefore seen after a minute, or one for every thousand rows; everything else at once.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from shared.errors import DataUnavailable
from shared.features.live import LiveHistory
from shared.features.stored_rows import StoredRows
from shared.features.sums_cache import SumsVector
from shared.transaction import Transaction
from shared.usecase.serving import FloatVector
from usecases.fraud.features.window import UserWindow

MAX_AGE_SECONDS = 60.0
"""For every thousand rows of a window: reading a hundred thousand takes half a second."""

MAX_ROWS = 250_000
"""Of all windows together: 25 MB."""


class RecentWindows:
    """Bounded; the windows used longest ago go first. Safe to use from several threads."""

    def __init__(
        self,
        live: LiveHistory,
        stored: StoredRows,
        capacity: int,
        clock: Callable[[], float] = time.monotonic,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._live = live
        self._stored = stored
        self._capacity = capacity
        self._max_rows = max_rows
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: OrderedDict[str, UserWindow] = OrderedDict()
        self._rows = 0

    def __len__(self) -> int:
        return len(self._windows)

    def held(self, user_id: str) -> UserWindow | None:
        """What is kept of a user now."""
        return self._windows.get(user_id)

    def vector(self, transaction: Transaction, sums: SumsVector) -> FloatVector | None:
        """The features, or None where no window can tell them."""
        now = self._clock()
        user_id = transaction.user_id
        with self._lock:
            if not self._look():
                return None
            window = self._windows.get(user_id)
            if window is not None and now <= window.expires_at:
                self._windows.move_to_end(user_id)
                return _told_by(window, transaction, sums)
        window = self._load(transaction, now)
        with self._lock:
            return None if window is None else _told_by(window, transaction, sums)

    def remember(self, transaction: Transaction) -> None:
        """Add a scored row to its user's window, if there is one."""
        with self._lock:
            window = self._windows.get(transaction.user_id)
            if window is not None:
                self._rows += 1
                if not window.add(transaction):
                    self._rows -= 1
                    self._drop(transaction.user_id)

    def look(self) -> None:
        """Notice what other writers stored, now."""
        with self._lock:
            self._look()

    def drop(self, user_ids: Iterable[str]) -> None:
        with self._lock:
            for user_id in user_ids:
                self._drop(user_id)

    def _load(self, transaction: Transaction, now: float) -> UserWindow | None:
        past = self._live.lasting(transaction)
        window = None
        if past is not None:
            age = MAX_AGE_SECONDS * max(1.0, len(past.rows) / 1_000)
            window = UserWindow(transaction, past, now + age)
        with self._lock:
            self._drop(transaction.user_id)
            if window is not None:
                self._windows[transaction.user_id] = window
                self._rows += window.size
                while len(self._windows) > self._capacity or self._rows > self._max_rows:
                    self._drop(next(iter(self._windows)))
        return window

    def _drop(self, user_id: str) -> None:
        window = self._windows.pop(user_id, None)
        if window is not None:
            self._rows -= window.size

    def _look(self) -> bool:
        """Drop what other writers made stale; False while the database cannot be asked."""
        try:
            rows = self._stored.new()
        except DataUnavailable:
            return False
        if rows is None:
            self._windows.clear()
            self._rows = 0
        elif rows:
            self._drop_strange(rows)
        return True

    def _drop_strange(self, rows: Sequence[tuple[str, str]]) -> None:
        """Most new rows are those this process scored and has drained since."""
        for user_id, transaction_id in rows:
            if self._live.is_pending(user_id, transaction_id):
                continue
            window = self._windows.get(user_id)
            if window is not None and not window.has(transaction_id):
                self._drop(user_id)


def _told_by(window: UserWindow, transaction: Transaction, sums: SumsVector) -> FloatVector | None:
    return window.features(transaction, sums) if window.covers(transaction) else None
