"""The drain: a thread that has the journal written to the database, round by round, and commits.

A round writes what waits when it begins. Rows that came meanwhile wait for the next one: the
more rows there are in a transaction, the less each of them costs.

With JOURNAL_COMMIT=database an answer leaves once its decision is committed. The first decision
committed under an id stands, whichever host made it: a host whose decision came second answers with
the first. One commit stores whatever waits when it begins (group commit).
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import structlog

from api.journal.journal import Journal, JournalFull
from api.journal.sink import Stored
from api.journal.writer import BatchWriter, WrittenBatch
from shared.errors import DataUnavailable

_log = structlog.get_logger()
# Exponential backoff while the database is unavailable, up to this.
_MAX_WAIT_SECONDS = 5.0
_MAX_URGENT_WAIT_SECONDS = 0.5
# After a round of this many rows the next one waits longer: larger batches cost less a row.
_BUSY_ROWS = 1_000
_BUSY_WAIT_SECONDS = 1.0
Settled = Callable[[], None]
Dispatch = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class DrainEvents:
    """Callbacks, called on the drain's thread."""

    stored: Callable[[Stored], None]
    refused: Callable[[str], None]


class Drain:
    """One thread; `stop` stores what remains and gives up while the database is unavailable.

    Attributes:
        trouble: why nothing is carried over now, if so.
    """

    def __init__(
        self,
        journal: Journal,
        writer: BatchWriter,
        events: DrainEvents,
        every_seconds: float,
        wanted: threading.Event | None = None,
    ) -> None:
        """`wanted` begins a round at once, where answers wait for the commit."""
        self._wanted = wanted
        self._journal = journal
        self._writer = writer
        self._events = events
        self._every_seconds = every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-drain", daemon=True)
        self._caught_up_at = time.monotonic()
        self.trouble: str | None = None

    @property
    def lag_seconds(self) -> float:
        """The longest possible wait of the oldest record; 0 when none waits."""
        return time.monotonic() - self._caught_up_at if self._journal.backlog else 0.0

    def start(self) -> None:
        """Make the tables if the database is there, and go to work."""
        try:
            self._writer.prepare()
        except DataUnavailable as error:
            self._report_trouble(str(error))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._wanted is not None:
            self._wanted.set()
        self._thread.join()
        self._drain_round()
        self._writer.close()
        if self._journal.backlog:
            _log.warning("journal_left_for_next_start", records=self._journal.backlog)

    def _run(self) -> None:
        wait = self._every_seconds
        while not self._pause(wait):
            began, waiting = time.monotonic(), self._journal.backlog
            if self._drain_round():
                # all records still waiting arrived after the start of the round
                self._caught_up_at = began
                least = _BUSY_WAIT_SECONDS if waiting >= _BUSY_ROWS else 0.0
                wait = max(self._every_seconds, least)
            else:
                most = _MAX_WAIT_SECONDS if self._wanted is None else _MAX_URGENT_WAIT_SECONDS
                wait = min(max(wait, 0.1) * 2, most)

    def _pause(self, seconds: float) -> bool:
        """Wait for the next round; whether there is none. After a failure nothing hurries it."""
        if self._wanted is None or self.trouble is not None:
            return self._stopping.wait(seconds)
        self._wanted.wait(seconds)
        self._wanted.clear()
        return self._stopping.is_set()

    def _drain_round(self) -> bool:
        """Carry over what is there now; False when it has to be tried again."""
        try:
            self._journal.keep_name()
            self._writer.prepare()
            span = self._journal.undrained()
            round_end = span[1] if span else None
            while span and round_end and span[0] < round_end:
                # min: the journal may have been emptied meanwhile, and its end set back
                self._done(self._writer.write_batch(span[0], min(round_end, span[1])))
                span = self._journal.undrained()
        except DataUnavailable as error:
            self._report_trouble(str(error))
            return False
        except Exception as error:  # noqa: BLE001
            # On any error decisions stay in the journal and the thread continues.
            _log.exception("journal_drain_failed")
            self.trouble = type(error).__name__
            return False
        if self.trouble is not None:
            _log.info("journal_drains_again")
            self.trouble = None
        return True

    def _done(self, written: WrittenBatch) -> None:
        for what, reason in written.refused:
            _log.error("journal_record_dead_lettered", what=what, reason=reason)
            self._events.refused(what)
        for stored in written.stored:
            self._events.stored(stored)
        self._journal.release(written.position, written.count, written.damage)

    def _report_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.warning("journal_waits_for_database", error=trouble, backlog=self._journal.backlog)
        self.trouble = trouble


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
