"""The folder of a worker's journal, and the drains of journals without a worker.

One process writes to JOURNAL_DIR itself, several to a folder each below it. After the number
of workers was changed, or a worker did not come back, worker 0 drains the orphaned journals.
"""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from api.journal.drain import Drain
from api.journal.journal import Journal
from api.journal.recovery import DamageLog
from api.journal.segments import segment_numbers
from shared.errors import SettingsError

_log = structlog.get_logger()
LOOK_SECONDS = 1.0
ORPHAN_WAIT_SECONDS = 3.0
_POLL_SECONDS = 0.05
_PREFIX = "worker-"
_NAME = re.compile(rf"{_PREFIX}[0-9]+")
Adopt = Callable[[Path], tuple[Journal, Drain]]
"""Makes the parts for a folder; neither opened nor started."""


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
