"""The identity (inode) of a SQLite database's file, watched independently of its name.

SQLite keeps writing to a file that was removed or replaced: every row is stored, and none is in the
database that later processes open. So every connection knows which file it opened, and is used only
while the name refers to that file.
"""

import os
import sqlite3
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import structlog
from filelock import FileLock

from shared.clock import wall_ns
from shared.errors import SettingsError
from shared.system.files import close_to_others
from shared.tables.storage_place import make_folder

# A removed or replaced file is detected within a second.
WATCH_SECONDS = 0.4
_LOCK_SECONDS = 60
_WAL, _SHARED_MEMORY = "-wal", "-shm"
_SHARED_MEMORY_BYTES = 32 * 1024


class Identity(NamedTuple):
    """The identity of an open file."""

    device: int
    inode: int


class SqliteFile:
    """Looks at the file; connections are opened and checked through it. Safe for threads.

    Attributes:
        path: of the database.
        generation: one more with each time the file turned out to be another one.
        changed_at: when that was last, by the monotonic clock; None: never.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.generation = 0
        self.changed_at: float | None = None
        self._lock = threading.Lock()
        self._known: Identity | None = None
        # The write-ahead log and shared memory of the known file, and of those before it.
        self._beside: set[Identity] = set()
        self._strays: set[Identity] = set()

    def look(self) -> Identity | None:
        """The current file's identity; None: it is missing or was emptied."""
        found = _identity(self.path)
        if found != self._known and self._known is not None:
            self._notice(found)
        return found

    def watch(self) -> None:
        """Check the file; a service calls this every `WATCH_SECONDS`, on a separate thread."""
        found = self.look()
        if found is not None and found == self._known:
            self._mend_shared_memory()

    def prepare(self) -> Identity | None:
        """Make the file if there is none, out of reach of other users; call before opening it.

        Raises:
            sqlite3.OperationalError: it cannot be made now.
        """
        found = self.look()
        if found is not None and not self._strays:
            for ending in ("", _WAL, _SHARED_MEMORY):
                close_to_others(Path(self.path + ending))
            return found
        try:
            make_folder(Path(self.path))
            with changing(self.path):
                self._begin_anew()
        except (OSError, SettingsError) as error:
            raise sqlite3.OperationalError(f"unable to make the database file: {error}") from error
        return _identity(self.path, even_empty=True)

    def opened(self, before: Identity | None) -> bool:
        """True if the name still means the file that was opened; remembers it."""
        found = _identity(self.path)
        if found is None or found != before:
            return False
        beside = (_identity(self.path + each, even_empty=True) for each in (_WAL, _SHARED_MEMORY))
        with self._lock:
            self._known = found
            self._beside |= {each for each in beside if each is not None}
        return True

    def _notice(self, found: Identity | None) -> None:
        with self._lock:
            known, self._known = self._known, found
            if known is None or known == found:
                return
            self.generation += 1
            self.changed_at = time.monotonic()
            self._strays |= self._beside
            self._beside = set()
            if found is None and _identity(self.path, even_empty=True) == known:
                # Truncated in place. SQLite would refill it from the WAL, which holds a part only.
                Path(self.path).unlink(missing_ok=True)
        structlog.get_logger().error(
            "database_file_removed" if found is None else "database_file_replaced",
            path=self.path,
            lost="what was stored in the file that was there; the journal keeps what was not",
        )

    def _begin_anew(self) -> None:
        """Under the lock: what belonged to a removed file may not be taken for the new one's."""
        is_missing = _identity(self.path) is None
        for ending in (_WAL, _SHARED_MEMORY):
            beside = Path(self.path + ending)
            identity = _identity(str(beside), even_empty=True)
            if identity is None or not (is_missing or identity in self._strays):
                continue
            if ending == _WAL and beside.stat().st_size:
                beside.rename(f"{beside}.of-removed-{wall_ns() // 1_000_000_000}")
            else:
                beside.unlink(missing_ok=True)
        self._strays = set()
        # Created without opening it: closing a file releases all POSIX locks of this process on it.
        with suppress(FileExistsError):
            os.mknod(self.path, stat.S_IFREG | 0o600)

    def _mend_shared_memory(self) -> None:
        """Reading a truncated memory map kills the process; zeros only make SQLite read the log."""
        name = self.path + _SHARED_MEMORY
        with suppress(OSError):
            if os.stat(name).st_size < _SHARED_MEMORY_BYTES:  # noqa: PTH116
                os.truncate(name, _SHARED_MEMORY_BYTES)
                structlog.get_logger().warning("database_shared_memory_was_cut_short", path=name)


def changing(path: str) -> FileLock:
    """The lock for creating the file or changing the schema; reentrant within a thread.

    SQLite has no lock that outlives a schema change, so a file beside it stands in.
    """
    name = f"{path}.migration-lock"
    return FileLock(name, timeout=_LOCK_SECONDS, mode=0o600, is_singleton=True)


def _identity(path: str, *, even_empty: bool = False) -> Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the time, and often
    except OSError:
        return None
    if not (found.st_size or even_empty):
        return None
    return Identity(found.st_dev, found.st_ino)
