"""Commits: what becomes of decisions in the database, for answers that wait for it.

With JOURNAL_COMMIT=database an answer leaves once its decision is committed. The first decision
committed under an id stands, whichever host made it: a host whose decision came second answers with
the first. One commit stores whatever waits when it begins (group commit).
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from api.journal.journal import Journal, JournalFull
from api.journal.sink import Stored

Settled = Callable[[], None]
Dispatch = Callable[[Callable[[], None]], None]


class Fate(Enum):
    """The fate of a decision."""

    WAITING = "waiting"
    STORED = "stored"
    # the database holds another decision with this id
    SUPERSEDED = "superseded"
    # the database rejects the row
    REFUSED = "refused"


class Commit:
    """The commit of one decision.

    Attributes:
        fate: final once it is not `WAITING`.
    """

    __slots__ = ("_lock", "_waiting", "fate")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._waiting: list[Settled] = []
        self.fate = Fate.WAITING

    def then(self, settled: Settled) -> bool:
        """Have this called once the fate is known; False: it is known already."""
        with self._lock:
            if self.fate is not Fate.WAITING:
                return False
            self._waiting.append(settled)
            return True

    def settle(self, fate: Fate) -> list[Settled]:
        """Set the fate, with the lock held; returns what is to be called."""
        self.fate = fate
        waiting, self._waiting = self._waiting, []
        return waiting


class CommitTracker:
    """Commits of the decisions that are in the journal and not in the database.

    Attributes:
        wanted: set when a record waits for its commit; the drain begins a round then.
        wait_seconds: how long an answer waits for a commit.
    """

    def __init__(self, wait_seconds: float, dispatch: Dispatch) -> None:
        """`dispatch` runs a piece where answers are sent from."""
        self.wanted = threading.Event()
        self.wait_seconds = wait_seconds
        self._dispatch = dispatch
        self._lock = threading.Lock()
        self._commits: dict[str, Commit] = {}

    def expect(self, keys: Iterable[str]) -> list[Commit]:
        """Commits decisions before their records are written, in this order."""
        with self._lock:
            made = [(key, Commit(self._lock)) for key in keys]
            self._commits.update(made)
        return [commit for _, commit in made]

    def append(
        self, journal: Journal, keys: Sequence[str], records: Sequence[bytes]
    ) -> list[Commit]:
        """Write records, and have the drain begin: their commits.

        Raises:
            JournalFull: nothing was written.
        """
        commits = self.expect(keys)
        try:
            journal.append(records)
        except JournalFull:
            with self._lock:
                for key in keys:
                    self._commits.pop(key, None)
            raise
        self.wanted.set()
        return commits

    def among(self, keys: Iterable[str]) -> dict[str, Commit]:
        """Commits that are waited for, of those of the keys that have one."""
        commits = self._commits
        with self._lock:
            return {key: commits[key] for key in keys if key in commits}

    def settled(self, batch: Stored, keys: Sequence[str]) -> None:
        """The database has the decisions of these keys; called on a drain's thread."""
        waiting: list[Settled] = []
        fates = dict.fromkeys(keys, Fate.STORED)
        fates |= dict.fromkeys(batch.superseded, Fate.SUPERSEDED)
        fates |= dict.fromkeys(batch.refused, Fate.REFUSED)
        with self._lock:
            for key, fate in fates.items():
                commit = self._commits.pop(key, None)
                if commit is not None:
                    waiting += commit.settle(fate)
        if waiting:
            self._dispatch(lambda: _call(waiting))


def _call(waiting: Sequence[Settled]) -> None:
    for settled in waiting:
        settled()
