"""The follower: looks at a few files ten times a second and tells who wants to know of a change.

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
# What could not be taken over is tried again after this long.
RETRY_SECONDS = 5.0

Looked = tuple[int, int, int] | None
"""Inode, time and size of a file; None: it is not there."""


@dataclass(slots=True)
class _Followed:
    path: Path
    changed: Callable[[], None]
    seen: Looked
    retry_at: float | None = None


@dataclass(slots=True)
class _Chore:
    every_seconds: float
    work: Callable[[], None]
    due_at: float = 0.0


class Follower:
    """One thread; everything it calls runs there, one after the other."""

    def __init__(
        self, poll_seconds: float = POLL_SECONDS, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._followed: list[_Followed] = []
        self._chores: list[_Chore] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def follow(self, path: Path, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the file is another one than at the last look.

        What it is now counts as seen. When the call raises, it is repeated after a while,
        and at the next change.
        """
        self._followed.append(_Followed(path, changed, look(path)))

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

    def look_around(self) -> None:
        """One round over all files and chores."""
        now = time.monotonic()
        for followed in self._followed:
            self._look_at(followed, now)
        for chore in self._chores:
            if now >= chore.due_at:
                chore.due_at = now + chore.every_seconds
                _quietly(chore.work)

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.look_around()

    def _look_at(self, followed: _Followed, now: float) -> None:
        found = look(followed.path)
        again = followed.retry_at is not None and now >= followed.retry_at
        if found == followed.seen and not again:
            return
        # Before the call: a change meanwhile is seen at the next look.
        followed.seen = found
        well = _quietly(followed.changed)
        followed.retry_at = None if well else now + self._retry_seconds


def look(path: Path) -> Looked:
    try:
        found = os.stat(path)  # noqa: PTH116 - half the cost of Path.stat, ten times a second
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _quietly(work: Callable[[], None]) -> bool:
    """Whether it went well; the thread lives on either way."""
    try:
        work()
    except Exception:  # noqa: BLE001
        _log.exception("follower_failed")
        return False
    return True
