"""Journals that no process writes to: of workers that are gone, and of a host that is lost.

One process writes to JOURNAL_DIR itself, several to a folder each below it. After the number
of workers was changed, or a worker did not come back, worker 0 drains the orphaned journals.

The journal of a host that is lost is drained from its volume into the database, by a command. A
folder that a live process writes to is refused. Draining twice stores nothing twice: rows that the
database has are counted, and left as they are.
"""

import fcntl
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy import Engine

from api.journal.drain import Drain
from api.journal.entries import QuarantinedLogRow, RecordFormat
from api.journal.journal import Journal
from api.journal.recovery import DamageLog
from api.journal.segments import Checkpoint, Position, records_between, segment_numbers
from api.journal.sink import DatabaseSink
from api.journal.writer import InProcessWriter, WrittenBatch
from shared.errors import SettingsError
from shared.sizes import GIB
from shared.transaction import Label
from shared.usecase.serving import FeatureSet

_log = structlog.get_logger()
LOOK_SECONDS = 1.0
ORPHAN_WAIT_SECONDS = 3.0
_POLL_SECONDS = 0.05
_PREFIX = "worker-"
_NAME = re.compile(rf"{_PREFIX}[0-9]+")
Adopt = Callable[[Path], tuple[Journal, Drain]]
"""Makes the parts for a folder; neither opened nor started."""
_FOREVER = Position(2**62, 0)


def journal_dir(root: Path, number: int, total: int) -> Path:
    """The journal folder of this worker."""
    return root if total == 1 else root / f"{_PREFIX}{number}"


def orphaned_folders(root: Path, total: int) -> list[Path]:
    """Folders with records that no worker of this number writes to."""
    return [folder for folder in _unowned_folders(root, total) if _has_segments(folder)]


def wait_for_orphans(root: Path, total: int) -> None:
    """Let orphaned decisions be stored first: their ids may be sent again at once.

    A database that is away is not waited for longer than that.
    """
    deadline = time.monotonic() + ORPHAN_WAIT_SECONDS
    while orphaned_folders(root, total) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _unowned_folders(root: Path, total: int) -> list[Path]:
    own = {journal_dir(root, number, total) for number in range(total)}
    return sorted({root, *worker_folders(root)} - own)


def worker_folders(root: Path) -> list[Path]:
    """Folders of workers, whatever their number was."""
    # not e.g. `worker-0-copy`, made by hand
    return sorted(path for path in root.glob(f"{_PREFIX}*") if _NAME.fullmatch(path.name))


def _has_segments(folder: Path) -> bool:
    try:
        return bool(segment_numbers(folder))
    except OSError:
        return True  # unreadable: opening it reports the reason


class OrphanedJournals:
    """Drains orphaned folders beside this worker's own journal, on a separate thread.

    An unavailable database blocks that thread, not the file watcher's, on which rollbacks depend.
    """

    def __init__(self, root: Path, total: int, adopt: Adopt) -> None:
        self._root = root
        self._total = total
        self._adopt = adopt
        self._adopted: dict[Path, tuple[Journal, Drain]] = {}
        self._refused: dict[Path, str] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def backlog(self) -> int:
        """Records in abandoned folders that wait for the database."""
        return sum(journal.backlog for journal, _ in list(self._adopted.values()))

    @property
    def lag_seconds(self) -> float:
        return max((drain.lag_seconds for _, drain in list(self._adopted.values())), default=0.0)

    def damaged_parts(self) -> int:
        """Copies of damaged parts in folders of no worker, drained or not."""
        return sum(DamageLog.copies_in(path) for path in _unowned_folders(self._root, self._total))

    @property
    def trouble(self) -> str | None:
        """The reason an abandoned folder is not being drained, or None."""
        for folder, reason in list(self._refused.items()):
            return f"{folder.name}: {reason}"
        for folder, (_, drain) in list(self._adopted.items()):
            if drain.trouble is not None:
                return f"{folder.name}: {drain.trouble}"
        return None

    def start(self) -> None:
        """Looks once for abandoned folders: none appears while a service runs."""
        if orphaned_folders(self._root, self._total):
            self._thread = threading.Thread(target=self._run, name="inheritance", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Carry over what can be; the rest stays where it is."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        for folder in list(self._adopted):
            self._let_go(folder)

    def _run(self) -> None:
        while orphaned_folders(self._root, self._total):
            self._look()
            if self._stopping.wait(LOOK_SECONDS):
                return

    def _look(self) -> None:
        """Take on what is there, let go of what is done."""
        for folder in orphaned_folders(self._root, self._total):
            if folder not in self._adopted:
                self._take(folder)
        adopted = self._adopted.items()
        for folder in [folder for folder, (journal, _) in adopted if journal.undrained() is None]:
            self._let_go(folder)

    def _take(self, folder: Path) -> None:
        journal, drain = self._adopt(folder)
        try:
            journal.open()
        except (SettingsError, OSError) as error:
            # Another process writes to it, or it cannot be read: tried again at the next poll.
            journal.close()
            if folder not in self._refused:
                _log.error("journal_not_inherited", folder=folder.name, error=str(error))
            self._refused[folder] = str(error)
            return
        self._refused.pop(folder, None)
        self._adopted[folder] = journal, drain
        _log.info("journal_inherited", folder=folder.name, records=journal.backlog)
        drain.start()

    def _let_go(self, folder: Path) -> None:
        journal, drain = self._adopted.pop(folder)
        drain.stop()
        if journal.undrained() is None:
            journal.remove()
            _log.info("journal_inheritance_drained", folder=folder.name)
        journal.close()


@dataclass(slots=True)
class DrainCounts:
    """The fate of the records of a lost journal.

    Attributes:
        records: all that wait for the database, by kind: decision, quarantined, label, unreadable.
        new: decisions that the database did not have.
        superseded: decisions about rows that another host decided, and committed first.
        labels: labels stored.
        refused: kind and reason of each record in the dead-letter file.
        damaged: copies of damaged parts, which stay in the folder.
    """

    records: Counter[str] = field(default_factory=Counter)
    new: int = 0
    superseded: int = 0
    labels: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    damaged: int = 0

    @property
    def decisions(self) -> int:
        return self.records["decision"] + self.records["quarantined"]

    @property
    def known(self) -> int:
        """Decisions that the database had, from this journal or from another host."""
        refused = sum(kind == "decision" for kind, _ in self.refused)
        return max(0, self.decisions - self.new - refused)


class LostJournal:
    """JOURNAL_DIR of a host that is gone, with the folders of its workers."""

    def __init__(self, root: Path, records: RecordFormat, features: FeatureSet) -> None:
        """`features` tell records of another use case.

        Raises:
            SettingsError: it is not a journal, or a process writes to it.
        """
        self._format = records
        self._features = features
        self._folders = [root, *worker_folders(root)]
        if not root.is_dir() or not any(map(_is_journal, self._folders)):
            raise SettingsError(
                f"{root} holds no journal: name the folder that was JOURNAL_DIR on the lost host"
            )
        for folder in self._folders:
            _refuse_live(folder)

    def look(self) -> DrainCounts:
        """The waiting records; changes nothing.

        Raises:
            SettingsError: the records are of another use case.
        """
        counts = DrainCounts()
        versions: Counter[str] = Counter()
        for folder in self._folders:
            counts.damaged += DamageLog.copies_in(folder)
            for payload in _waiting(folder):
                counts.records[self._kind(payload, versions)] += 1
        self._refuse_foreign(counts, versions)
        return counts

    def drain(self, engine: Engine) -> DrainCounts:
        """Store what waits, and leave nothing in the folder but damage and dead letters.

        Raises:
            DataUnavailable: the database cannot be written; whatever was stored is released.
            SettingsError: the records are of another use case, or a process writes to it.
        """
        counts = self.look()
        counts.damaged = 0
        sink = DatabaseSink(engine, records=self._format)
        for folder in filter(_is_journal, self._folders):
            journal = Journal(folder, GIB)
            journal.open()
            try:
                writer = InProcessWriter(folder, sink, records=self._format)
                while span := journal.undrained():
                    written = writer.write_batch(*span)
                    _count(written, counts)
                    journal.release(written.position, written.count, written.damage)
                journal.remove()
            finally:
                journal.close()
            counts.damaged += DamageLog.copies_in(folder)
        return counts

    def _kind(self, payload: bytes, versions: Counter[str]) -> str:
        try:
            row = self._format.decode_row(payload)
        except (ValueError, KeyError, TypeError):
            return "unreadable"
        if isinstance(row, Label):
            return "label"
        versions[str(row[self._format.columns.index("feature_set_version")])] += 1
        return "quarantined" if isinstance(row, QuarantinedLogRow) else "decision"

    def _refuse_foreign(self, counts: DrainCounts, versions: Counter[str]) -> None:
        """All of them would go to the dead-letter file, or into tables of other rows."""
        known = any(self._features.names_of(version) for version in versions)
        if (versions and not known) or (not counts.decisions and counts.records["unreadable"]):
            theirs = ", ".join(sorted(versions)) or "not readable as its rows"
            raise SettingsError(
                f"USE_CASE: the journal is of another use case (feature set {theirs}; "
                f"this one is {self._features.version}): set it as it was on the lost host"
            )


def _count(written: WrittenBatch, counts: DrainCounts) -> None:
    for stored in written.stored:
        counts.new += stored.new
        counts.superseded += len(stored.superseded)
        counts.labels += len(stored.labels)
    counts.refused += written.refused


def _is_journal(folder: Path) -> bool:
    return bool(segment_numbers(folder)) or (folder / "checkpoint.json").exists()


def _waiting(folder: Path) -> Iterator[bytes]:
    numbers = segment_numbers(folder)
    saved = Checkpoint(folder / "checkpoint.json").load()
    first = Position(min(numbers, default=0), 0)
    # the drain corrects a checkpoint that does not fit: it drains more records, never fewer
    begin = saved if saved is not None and saved.segment in numbers else first
    if saved is not None and saved.segment > max(numbers, default=-1):
        return
    for payload, _ in records_between(folder, begin, _FOREVER):
        yield payload


def _refuse_live(folder: Path) -> None:
    """Look at the lock without making one."""
    with suppress(FileNotFoundError):
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                f"{folder}: a running process writes to this journal and drains it itself; "
                "stop it first, or name the folder of the host that is lost"
            ) from error
        finally:
            os.close(descriptor)
