"""The past of a user as a window, the fastest way there is to it."""

from collections.abc import Sequence

from shared.features.live import LiveHistory, Past
from shared.features.pending import NewestPending
from shared.features.tiles import Sums
from shared.transaction import Transaction
from shared.usecase.serving import FloatVector

from .postgres_windows import PostgresWindows
from .stored import StoredWindows
from .window import UserWindow


class Pasts:
    """Reads rows in compiled code; what is unusual, and other databases, row by row."""

    def __init__(
        self, live: LiveHistory, stored: StoredWindows | None, remote: PostgresWindows | None = None
    ) -> None:
        self._live = live
        self.stored = stored
        self._remote = remote
        self.reads_ahead = remote is not None
        # by user: the pending rows, and the window of rows stored at that time
        self._ahead: dict[str, tuple[NewestPending, UserWindow | None]] = {}

    def read_ahead(self, new: Sequence[Transaction], rows: Sequence[Transaction]) -> None:
        """Read in one round trip what `lasting` of new users and the sums of all rows will need.

        Each window is given once, soon after; those of the call before are dropped. Does nothing
        where a read costs no round trip (`reads_ahead`).
        """
        self._ahead.clear()
        remote = self._remote
        if remote is None:
            return
        # Pending first: a row that is stored meanwhile is then seen twice, never missed.
        pending = {row.user_id: self._live.pending_of(row.user_id) for row in new}
        users = list({row.user_id: row for row in reversed(new)}.values())
        sums = self._live.unknown_sums(rows)
        if users or sums:
            read = remote.read
            windows = self._live.guard.read(
                lambda: self._live.keep_sums(lambda: read(users, sums)), None
            )
            self._ahead = {
                user_id: (pending[user_id], window) for user_id, window in (windows or {}).items()
            }

    def lasting(self, transaction: Transaction) -> UserWindow | None:
        """A window that is right for later rows too, as `LiveHistory.lasting` promises it."""
        window, is_final = None, False
        if self.stored is not None:
            window, is_final = self._stored_lasting(self.stored, transaction)
        elif self._remote is not None:
            window, is_final = self._remote_lasting(transaction)
        if is_final:
            return window
        past = self._live.lasting(transaction)
        return None if past is None else self._window_of(past, transaction)

    def _stored_lasting(
        self, stored: StoredWindows, transaction: Transaction
    ) -> tuple[UserWindow | None, bool]:
        """The result of compiled code, and whether it is final."""
        # Pending first: a row that is stored meanwhile is then seen twice, never missed.
        pending = self._live.pending_of(transaction.user_id)
        if pending.oldest_us is not None:
            return None, False
        window = self._live.guard.read(lambda: stored.lasting(transaction), None)
        if not pending.rows:
            return window, True
        return window, window is not None and window.add(*pending.rows)

    def _remote_lasting(self, transaction: Transaction) -> tuple[UserWindow | None, bool]:
        """The same of what was read ahead; None, False where the row wants a closer look."""
        if transaction.user_id not in self._ahead:
            self.read_ahead((transaction,), (transaction,))
        pending, window = self._ahead.pop(transaction.user_id, (None, None))
        if pending is None or window is None or pending.oldest_us is not None:
            return None, False
        return window, not pending.rows or window.add(*pending.rows)

    def features_alone(self, transaction: Transaction, sums: Sums) -> FloatVector:
        """All features of a row with a past that was read for it and is not kept."""
        window = self._stored_alone(transaction)
        if window is None:
            window = self._window_of(self._live.past(transaction), transaction)
        vector = window.features(transaction, sums)
        if vector is None:
            raise LookupError("a past does not cover the row it was read for")
        return vector

    def _stored_alone(self, transaction: Transaction) -> UserWindow | None:
        stored = self.stored
        if stored is None or self._live.has_pending(transaction.user_id):
            return None
        answer = self._live.guard.read(lambda: (stored.alone(transaction),), None)
        if answer is None:
            return self._window_of(Past([], None), transaction)
        return answer[0]

    def _window_of(self, past: Past, transaction: Transaction) -> UserWindow:
        return UserWindow.of(past, transaction, self._live.max_prior_rows)
