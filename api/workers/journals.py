"""Which journal belongs to whom, and who carries those that belong to nobody any more.

One process writes to JOURNAL_DIR itself, several to a folder each below it. After the number
of workers was changed, or a worker did not come back, worker 0 drains what was left behind.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from api.journal.drain import Drain
from api.journal.journal import Journal
from api.journal.segments import segment_numbers, segment_path
from shared.errors import SettingsError

_log = structlog.get_logger()
LOOK_SECONDS = 1.0
_PREFIX = "worker-"
Adopt = Callable[[Path], tuple[Journal, Drain]]
"""Makes the parts for a folder; neither opened nor started."""


def journal_dir(root: Path, number: int, total: int) -> Path:
    """Where this worker writes."""
    return root if total == 1 else root / f"{_PREFIX}{number}"


def abandoned(root: Path, total: int) -> list[Path]:
    """Folders with records that no worker of this number writes to."""
    own = {journal_dir(root, number, total) for number in range(total)}
    folders = sorted({root, *root.glob(f"{_PREFIX}*")} - own)
    return [folder for folder in folders if segment_numbers(folder)]


class Inheritance:
    """Drains abandoned folders beside this worker's own journal, on a thread of its own.

    A database that is away holds that thread, not the follower's, on which rollbacks depend.
    """

    def __init__(self, root: Path, total: int, adopt: Adopt) -> None:
        self._root = root
        self._total = total
        self._adopt = adopt
        self._adopted: dict[Path, tuple[Journal, Drain]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Nothing is abandoned while a service runs, so one look says whether there is work."""
        if abandoned(self._root, self._total):
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
        while abandoned(self._root, self._total):
            self._look()
            if self._stopping.wait(LOOK_SECONDS):
                return

    def _look(self) -> None:
        """Take on what is there, let go of what is done."""
        for folder in abandoned(self._root, self._total):
            if folder not in self._adopted:
                self._take(folder)
        done = [folder for folder, (journal, _) in self._adopted.items() if journal.backlog == 0]
        for folder in done:
            self._let_go(folder)

    def _take(self, folder: Path) -> None:
        journal, drain = self._adopt(folder)
        try:
            journal.open()
        except SettingsError:
            return  # somebody writes to it after all
        self._adopted[folder] = journal, drain
        _log.info("journal_inherited", folder=folder.name, records=journal.backlog)
        drain.start()

    def _let_go(self, folder: Path) -> None:
        journal, drain = self._adopted.pop(folder)
        drain.stop()
        if journal.backlog == 0:
            # The position goes first: without the segments it would hide what comes later.
            (folder / "checkpoint.json").unlink(missing_ok=True)
            for number in segment_numbers(folder):
                segment_path(folder, number).unlink()
            _log.info("journal_inheritance_drained", folder=folder.name)
        journal.close()
