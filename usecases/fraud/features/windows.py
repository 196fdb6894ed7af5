"""Recent rows of active users, encoded once and kept, so that a known user costs no read.

A kept window gives the same bits as reading and encoding again: it holds what `LiveHistory.lasting`
guarantees to stay valid, rows are added as they are scored, and a window is dropped when another
process stores rows of that user, when rows come out of order, and when it expires. Manual edits or
deletions in the logs are therefore seen after a minute, or one for every thousand rows; all other
changes at once.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from shared.errors import DataUnavailable
from shared.features.live import LiveHistory
from shared.features.stored_rows import RowWatch
from shared.features.tiles import Sums
from shared.transaction import Transaction
from shared.usecase.serving import FloatMatrix, FloatVector, WindowBounds

from .encoding import new_rows, put_row
from .pasts import Pasts
from .row_batch import ADD, TELL, take
from .window import UserWindow

# A cache of users' windows with bounds of users and rows; evicts approximately the oldest use.

_FEW = 64


class KeptWindows:
    """Windows of users in memory. Not thread-safe; `RecentWindows` serialises the calls.

    Of many windows two are taken by chance, and the one used longer ago goes. Were it always
    the coldest of all, users who come round and round would find nothing once there are a few
    more of them than there is room for, as each goes just before its turn.

    Attributes:
        rows: places for rows of all windows together.
        get: the window of a user, if there is one.
    """

    def __init__(self, max_users: int, max_rows: int) -> None:
        self.rows = 0
        self._max_users = max_users
        self._max_rows = max_rows
        self._windows: dict[str, UserWindow] = {}
        self.get: Callable[[str], UserWindow | None] = self._windows.get
        self._users: list[str] = []
        self._turn = 0
        self._dice = random.Random(0)  # noqa: S311 - any will do

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._users)

    def next_turn(self) -> None:
        """Windows used from now on are the most recent, and are not evicted in this call."""
        self._turn += 1

    def use(self, window: UserWindow) -> None:
        window.used = self._turn

    def put(self, user_id: str, window: UserWindow) -> None:
        """Keep a window of a user who has none."""
        window.place, window.used = len(self._users), self._turn
        self._windows[user_id] = window
        self._users.append(user_id)
        self.rows += window.room

    def drop(self, user_id: str) -> None:
        window = self._windows.pop(user_id, None)
        if window is None:
            return
        self.rows -= window.room
        last = self._users.pop()
        if last != user_id:
            self._users[window.place] = last
            self._windows[last].place = window.place

    def clear(self) -> None:
        self._windows.clear()
        self._users.clear()
        self.rows = 0

    def keep_bounds(self) -> None:
        """Evicts windows above the limits, but never while rows wait to be taken."""
        while self._windows and (
            len(self._windows) > self._max_users or self.rows > self._max_rows
        ):
            user_id = self._colder()
            if self._windows[user_id].used == self._turn:
                # the random sample found no older window: search all of them (rare)
                user_id = min(self._users, key=lambda each: self._windows[each].used)
            if self._windows[user_id].used == self._turn and len(self._windows) <= self._max_users:
                return
            self.drop(user_id)

    def _colder(self) -> str:
        count = len(self._users)
        if count <= _FEW:
            return min(self._users, key=lambda each: self._windows[each].used)
        # faster than randrange
        one = self._users[int(self._dice.random() * count)]
        other = self._users[int(self._dice.random() * count)]
        return min(one, other, key=lambda each: self._windows[each].used)


MAX_AGE_SECONDS = 60.0
"""The largest age for every thousand rows of a window: reading a hundred thousand takes long."""

LATE_SECONDS = 1.0
"""The pause before a large window is read again for a user with rows out of order.

The next such row would void it, and reading it costs several times what one row's past does.
"""

_MOST_LATE = 1_000
# Windows with fewer rows, read in less time, are cheap to read again.
_MANY_ROWS, _LONG_SECONDS = 500, 0.002


class RecentWindows:
    """Bounded; colder windows go before warmer ones. Safe to use from several threads."""

    def __init__(
        self,
        live: LiveHistory,
        pasts: Pasts,
        stored: RowWatch,
        *,
        bounds: WindowBounds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._live = live
        self._pasts = pasts
        self._stored = stored
        self._clock = clock
        self._lock = threading.Lock()
        self._windows = KeptWindows(bounds.users, bounds.rows)
        self._dice = random.Random(0)  # noqa: S311 - any will do
        # users whose rows arrive out of order, with an expiry
        self._late: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def held(self, user_id: str) -> UserWindow | None:
        """The cached window of a user."""
        return self._windows.get(user_id)

    def vector(self, transaction: Transaction, sums: Sums) -> FloatVector | None:
        """The features, or None where no window can compute them."""
        with self._lock:
            if not self._look():
                return None
            self._windows.next_turn()
            window = self._window(transaction, self._clock())
            vector = None
            if window is not None:
                before = window.room
                vector = window.features(transaction, sums)
                self._windows.rows += window.room - before
                if window.is_void:
                    self._drop_late(transaction.user_id, window)
            self._windows.keep_bounds()
        return vector

    def fill(self, transactions: Sequence[Transaction], out: FloatMatrix) -> set[int]:
        """Write the features of rows into their lines and make each row one of the past.

        Returns the lines of rows that no window could compute, including all later ones of the same
        user.
        """
        with self._lock:
            if not self._look():
                return set(range(len(transactions)))
            windows = self._windows_of(transactions)
            rows = new_rows(len(transactions))
            lines = [line for line, window in enumerate(windows) if window is not None]
            words, sums_of = rows.data, self._live.sums
            for at, line in enumerate(lines):
                transaction = transactions[line]
                put_row(words, at, line, transaction, sums_of(transaction))
            held = [window for window in windows if window is not None]
            # after growing: windows may have moved in memory
            computed = take(held, rows, TELL | ADD, out)
            if computed is not None:
                lines = [line for line, is_told in zip(lines, computed, strict=True) if is_told]
                self._drop_void(zip(transactions, windows, strict=True))
            self._windows.keep_bounds()
        if len(lines) == len(transactions):
            return set()
        return set(range(len(transactions))).difference(lines)

    def remember(self, transaction: Transaction) -> None:
        """Add a scored row to its user's window, if there is one."""
        with self._lock:
            window = self._windows.get(transaction.user_id)
            if window is not None:
                before = window.room
                taken = window.add(transaction)
                self._windows.rows += window.room - before
                if not taken:
                    self._drop_late(transaction.user_id, window)

    def look(self) -> None:
        """Notice what other writers stored, now."""
        with self._lock:
            self._look(at_once=True)

    def drop(self, user_ids: Iterable[str]) -> None:
        with self._lock:
            for user_id in user_ids:
                self._windows.drop(user_id)

    def _windows_of(self, transactions: Sequence[Transaction]) -> list[UserWindow | None]:
        """A window with a place for each row; a missing window is requested once per user."""
        now = self._clock()
        self._windows.next_turn()
        if self._pasts.reads_ahead:
            new = [row for row in transactions if self._is_new(row, now)]
            self._pasts.read_ahead(new, transactions)
        lost: set[str] = set()
        windows: list[UserWindow | None] = []
        for transaction in transactions:
            user_id = transaction.user_id
            window = None if user_id in lost else self._window(transaction, now)
            windows.append(window)
            if window is None:
                lost.add(user_id)
                continue
            before = window.room
            window.give_room()
            self._windows.rows += window.room - before
        return windows

    def _is_new(self, transaction: Transaction, now: float) -> bool:
        """True if the user's window has to be read from the database."""
        window = self._windows.get(transaction.user_id)
        return window is None or now > window.expires_at

    def _window(self, transaction: Transaction, now: float) -> UserWindow | None:
        user_id = transaction.user_id
        window = self._windows.get(user_id)
        if window is not None and now <= window.expires_at:
            self._windows.use(window)
            return window
        self._windows.drop(user_id)
        if self._late and self._late.get(user_id, now) > now:
            return None
        began = self._clock()
        window = self._pasts.lasting(transaction)
        if window is None:
            if self._clock() - began > _LONG_SECONDS:
                self._note_late(user_id)
        else:
            # A random age, so that windows that were read together do not expire together.
            age = MAX_AGE_SECONDS * self._dice.uniform(0.75, 1.0)
            window.expires_at = now + age * max(1.0, window.taken / 1_000)
            self._windows.put(user_id, window)
        return window

    def _drop_void(self, rows: Iterable[tuple[Transaction, UserWindow | None]]) -> None:
        for transaction, window in rows:
            if window is not None and window.is_void:
                self._drop_late(transaction.user_id, window)

    def _drop_late(self, user_id: str, window: UserWindow) -> None:
        """Drop the window of a user a row of whom came out of order."""
        self._windows.drop(user_id)
        if window.taken > _MANY_ROWS:
            self._note_late(user_id)

    def _note_late(self, user_id: str) -> None:
        if len(self._late) >= _MOST_LATE:
            self._late.clear()
        self._late[user_id] = self._clock() + LATE_SECONDS

    def _look(self, *, at_once: bool = False) -> bool:
        """Drop what other writers made stale; False while the database cannot be asked."""
        try:
            rows = self._stored.new(self._live.are_next, at_once=at_once)
        except DataUnavailable:
            return False
        if rows is None:
            self._windows.clear()
            self._live.drop_sums()
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
                self._windows.drop(user_id)
