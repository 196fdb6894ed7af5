"""The file watcher: checks a few files ten times a second and calls back on a change.

Files are the truth that workers share; each is replaced as a whole, so a look at its inode,
time and size is enough to see that it is another one.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

_log = structlog.get_logger()
POLL_SECONDS = 0.1
# A failed reload is repeated after this long.
RETRY_SECONDS = 5.0

FileIdentity = tuple[int, int, int] | None
"""Inode, time and size of a file; None: it is not there."""


@dataclass(slots=True)
class _WatchedFile:
    path: Path
    changed: Callable[[], None]
    seen: FileIdentity
    retry_at: float | None = None


@dataclass(slots=True)
class _Chore:
    every_seconds: float
    work: Callable[[], None]
    due_at: float = 0.0


class FileWatcher:
    """One thread that calls back on changes, and runs periodic tasks."""

    def __init__(
        self, poll_seconds: float = POLL_SECONDS, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._files: list[_WatchedFile] = []
        self._chores: list[_Chore] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def watch(self, path: Path, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the file was replaced since the last check.

        The current file counts as seen. When the call raises, it is repeated after a while,
        and at the next change.
        """
        self._files.append(_WatchedFile(path, changed, identity_of(path)))

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """Call `work` about this often, for the first time at once."""
        self._chores.append(_Chore(seconds, work))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing of this runs any more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def poll(self) -> None:
        """One round over all files and chores."""
        now = time.monotonic()
        for file in self._files:
            self._check(file, now)
        for chore in self._chores:
            if now >= chore.due_at:
                chore.due_at = now + chore.every_seconds
                _quietly(chore.work)

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.poll()

    def _check(self, file: _WatchedFile, now: float) -> None:
        identity = identity_of(file.path)
        again = file.retry_at is not None and now >= file.retry_at
        if identity == file.seen and not again:
            return
        # Set before the call, so that a change during it is seen by the next poll.
        file.seen = identity
        well = _quietly(file.changed)
        file.retry_at = None if well else now + self._retry_seconds


def identity_of(path: Path) -> FileIdentity:
    try:
        identity = os.stat(path)  # noqa: PTH116 - half the cost of Path.stat, ten times a second
    except OSError:
        return None
    return identity.st_ino, identity.st_mtime_ns, identity.st_size


def _quietly(work: Callable[[], None]) -> bool:
    """Runs one look; False if it raised. The thread survives either way."""
    try:
        work()
    except Exception:  # noqa: BLE001
        _log.exception("file_watcher_failed")
        return False
    return True
