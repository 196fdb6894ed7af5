"""The past of a user as a window, the fastest way there is to it."""

from operator import attrgetter

from shared.features.live import LiveHistory, Past
from shared.features.tiles import Sums
from shared.transaction import Transaction
from shared.usecase.serving import FloatVector
from usecases.fraud.features.stored import StoredWindows
from usecases.fraud.features.window import UserWindow

_in_order = attrgetter("event_time_us", "ingested_at_us", "transaction_id")


class Pasts:
    """Reads SQLite's rows in compiled code; what is unusual, and other databases, row by row."""

    def __init__(self, live: LiveHistory, stored: StoredWindows | None) -> None:
        self._live = live
        self.stored = stored

    def lasting(self, transaction: Transaction) -> UserWindow | None:
        """A window that is right for later rows too, as `LiveHistory.lasting` promises it."""
        if self.stored is not None:
            # Pending first: a row that is stored meanwhile is then seen twice, never missed.
            pending = sorted(self._live.pending_of(transaction.user_id), key=_in_order)
            stored = self.stored
            window = self._live.guard.read(lambda: stored.lasting(transaction), None)
            if window is not None and all(map(window.add, pending)):
                return window
            if not pending:
                return None
        past = self._live.lasting(transaction)
        return None if past is None else UserWindow.of(past, transaction)

    def features_alone(self, transaction: Transaction, sums: Sums) -> FloatVector:
        """All features of a row with a past that was read for it and is not kept."""
        window = self._stored_alone(transaction)
        if window is None:
            window = UserWindow.of(self._live.past(transaction), transaction)
        vector = window.features(transaction, sums)
        if vector is None:
            raise LookupError("a past does not cover the row it was read for")
        return vector

    def _stored_alone(self, transaction: Transaction) -> UserWindow | None:
        stored = self.stored
        if stored is None or self._live.pending_of(transaction.user_id):
            return None
        answer = self._live.guard.read(lambda: (stored.alone(transaction),), None)
        if answer is None:
            return UserWindow.of(Past([], None), transaction)
        return answer[0]
