"""A folder as a store (`file:///...`): for one machine, tests, and mounts shared by hosts.

Writers exclude each other by `flock`, which NFS 4 passes on; a network file system without it is no
store. The revision of an object is the digest of its content.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.storage.object_store import (
    UNCHANGED,
    ObjectInfo,
    Revision,
    StoreAway,
    StoredObject,
    Unchanged,
    WriteConflict,
)
from shared.system.files import TEMPORARY_PREFIX, write_whole_within

_LOCK = ".lock"


class FolderStore:
    """Objects are files below one folder."""

    def __init__(self, root: Path) -> None:
        self.name = root.as_uri()
        self._root = root

    def read(self, key: str) -> StoredObject | None:
        with self._errors():
            try:
                content = (self._root / key).read_bytes()
            except FileNotFoundError:
                self._require_root()
                return None
        return StoredObject(content, _revision(content))

    def read_unless(self, key: str, known: Revision | None) -> StoredObject | Unchanged | None:
        found = self.read(key)
        return UNCHANGED if found is not None and found.revision == known else found

    def write(self, key: str, content: bytes) -> None:
        with self._alone():
            write_whole_within(self._root / key, content)

    def write_if(self, key: str, content: bytes, known: Revision | None) -> Revision:
        with self._alone():
            found = self.read(key)
            if known != (None if found is None else found.revision):
                raise WriteConflict(f"{key} was written by another host")
            write_whole_within(self._root / key, content)
        return _revision(content)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._errors():
            self._require_root()
            paths = [path for path in (self._root / prefix).rglob("*") if path.is_file()]
        for path in paths:
            if path.name == _LOCK or path.name.startswith(TEMPORARY_PREFIX):
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            key = path.relative_to(self._root).as_posix()
            yield ObjectInfo(key, status.st_size, status.st_mtime_ns // 1_000)

    def delete(self, key: str) -> None:
        with self._alone():
            (self._root / key).unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._errors():
            self._require_root()
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._root / _LOCK, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

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
