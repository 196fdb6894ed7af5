"""Files of the scheduler in the store: what one scheduler writes, the one that takes over reads.

Each object is signed by the scheduler that wrote it, under its name: a store is not trusted. While
the store is away a run goes on; what could not be written is written at the end of a later run.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from shared.errors import SignatureInvalid
from shared.keys.store import Keys, verify
from shared.storage.object_store import ObjectInfo, ObjectStore, ObjectTooLarge, StoreAway

_log = structlog.get_logger()
_SIGNATURE = ".signature"


@dataclass(frozen=True, slots=True)
class SharedFiles:
    """Signed files below one prefix of the store.

    Attributes:
        prefix: ends with a slash.
        sign: with this scheduler's key.
        trusted: the keys of all schedulers, asked again each time.
    """

    store: ObjectStore
    prefix: str
    sign: Callable[[bytes], str]
    trusted: Callable[[], Keys]

    def put(self, name: str, content: bytes) -> None:
        """Write a file; while the store is away, only the log says so."""
        try:
            self.write(name, content)
        except StoreAway as error:
            _log.warning("file_not_shared", name=name, problem=error.strerror)

    def write(self, name: str, content: bytes) -> None:
        """Write a file that has to be there; raises StoreAway."""
        key = self.prefix + name
        self.store.write(key, content)
        self.store.write(key + _SIGNATURE, self.sign(_statement(key, content)).encode())

    def put_missing(self, root: Path, names: Iterable[str], known: Iterable[ObjectInfo]) -> None:
        """Write files below `root` that the store lacks, or has from before they were changed."""
        written = {info.key: info for info in known}
        for name in names:
            status, info = (root / name).stat(), written.get(name)
            is_there = info is not None and (
                info.size_bytes == status.st_size or info.modified_us > status.st_mtime_ns // 1_000
            )
            if not is_there:
                self.put(name, (root / name).read_bytes())

    def get(self, name: str) -> bytes | None:
        """The file; None: it is not there, cannot be trusted, or the store is away."""
        try:
            return self.read(name)
        except StoreAway as error:
            _log.warning("shared_file_not_read", name=name, problem=error.strerror)
            return None

    def read(self, name: str) -> bytes | None:
        """The file; None: it is not there, or cannot be trusted; raises StoreAway."""
        key = self.prefix + name
        try:
            found, signature = self.store.read(key), self.store.read(key + _SIGNATURE)
        except ObjectTooLarge as error:
            _log.error("shared_file_refused", name=name, problem=str(error))
            return None
        if found is None or signature is None:
            return None
        try:
            signed = signature.content.decode("ascii", "replace")
            verify(_statement(key, found.content), signed, self.trusted())
        except SignatureInvalid as error:
            _log.error("shared_file_refused", name=name, problem=str(error))
            return None
        return found.content

    def files(self) -> list[ObjectInfo] | None:
        """Existing names below the prefix; None while the store is away."""
        try:
            found = list(self.store.list(self.prefix))
        except StoreAway as error:
            _log.warning("shared_files_not_listed", problem=error.strerror)
            return None
        return [
            ObjectInfo(info.key.removeprefix(self.prefix), info.size_bytes, info.modified_us)
            for info in found
            if not info.key.endswith(_SIGNATURE)
        ]

    def delete(self, name: str) -> None:
        """Remove a file; while the store is away it stays, and the next pruning finds it."""
        try:
            self.remove(name)
        except StoreAway as error:
            _log.warning("shared_file_not_deleted", name=name, problem=error.strerror)

    def remove(self, name: str) -> None:
        """Remove a file that has to go; raises StoreAway."""
        self.store.delete(self.prefix + name)
        self.store.delete(self.prefix + name + _SIGNATURE)


def _statement(key: str, content: bytes) -> bytes:
    """The signed bytes: not the content itself, or a candidate's signature could be pushed."""
    return f"understudy file\n{key}\n{hashlib.sha256(content).hexdigest()}\n".encode()
