"""A folder as a store (`file:///...`): for one machine, tests, and mounts shared by hosts.

Conditional writes exclude each other by `flock`, which NFS 4 passes on; a network file system
without it is no store. The revision of an object is the digest of its content. Only plain files
below the folder are objects: a link or a pipe of another program there is refused.
"""

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from shared.storage.object_store import (
    MOST_BYTES,
    MOST_SMALL_BYTES,
    UNCHANGED,
    ObjectInfo,
    ObjectTooLarge,
    Revision,
    StoreAway,
    StoredObject,
    Unchanged,
    WriteConflict,
)
from shared.system.files import TEMPORARY_PREFIX, write_whole_within

_LOCK = ".lock"
_LOOK_SECONDS = 0.01
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class FolderStore:
    """Objects are files below one folder.

    `wait_seconds` is the longest wait for a conditional write of another process.
    """

    def __init__(self, root: Path, wait_seconds: float = 10.0) -> None:
        self.name = root.as_uri()
        self._root = root
        self._wait_seconds = wait_seconds

    def read(self, key: str, most_bytes: int = MOST_BYTES) -> StoredObject | None:
        with self._errors():
            try:
                content = self._content(key, most_bytes)
            except FileNotFoundError:
                self._require_root()
                return None
        return StoredObject(content, _revision(content))

    def read_unless(self, key: str, known: Revision | None) -> StoredObject | Unchanged | None:
        found = self.read(key, MOST_SMALL_BYTES)
        return UNCHANGED if found is not None and found.revision == known else found

    def write(self, key: str, content: bytes) -> None:
        with self._errors():
            self._require_root()
            write_whole_within(self._path(key), content)

    def write_if(self, key: str, content: bytes, known: Revision | None) -> Revision:
        with self._alone():
            found = self.read(key)
            if known != (None if found is None else found.revision):
                raise WriteConflict(f"{key} was written by another host")
            write_whole_within(self._path(key), content)
        return _revision(content)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._errors():
            self._require_root()
            paths = list(self._path(f"{prefix}*").parent.rglob("*"))
        for path in paths:
            if path.name == _LOCK or path.name.startswith(TEMPORARY_PREFIX):
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                key = path.relative_to(self._root).as_posix()
                yield ObjectInfo(key, status.st_size, status.st_mtime_ns // 1_000)

    def delete(self, key: str) -> None:
        with self._errors():
            self._require_root()
            self._path(key).unlink(missing_ok=True)

    def _content(self, key: str, most_bytes: int) -> bytes:
        """Raises StoreAway when it is not a plain file; reading a pipe would wait without end."""
        descriptor = os.open(self._path(key), _FLAGS | os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StoreAway(self.name, f"{key} is not a file")
            if status.st_size > most_bytes:
                raise ObjectTooLarge(self.name, key, most_bytes)
            return file.read(most_bytes)

    def _path(self, key: str) -> Path:
        """Raises StoreAway when it is not below the folder."""
        path = self._root / key
        is_inside = ".." not in PurePosixPath(key).parts and path.parent.resolve().is_relative_to(
            self._root.resolve()
        )
        if not is_inside:
            raise StoreAway(self.name, f"{key[:100]} leads out of its folder")
        return path

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A process that stands still with the lock is a store that is away."""
        with self._errors():
            self._require_root()
            descriptor = os.open(self._root / _LOCK, _FLAGS | os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._lock(descriptor)
                yield
            finally:
                os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    told = f"another process has held its lock for {self._wait_seconds:g} s"
                    raise StoreAway(self.name, told) from error
                time.sleep(_LOOK_SECONDS)
            else:
                return

    def _require_root(self) -> None:
        """A mount that is gone is a store that is away, not an empty one."""
        if not self._root.is_dir():
            raise StoreAway(self.name, "there is no such folder")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except StoreAway:
            raise
        except OSError as error:
            raise StoreAway(self.name, error.strerror or str(error)) from error


def _revision(content: bytes) -> Revision:
    return Revision(hashlib.sha256(content).hexdigest())
