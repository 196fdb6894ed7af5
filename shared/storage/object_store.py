"""The object store: whole objects by key, with compare-and-swap by revision.

`STORE_URL` names one (`shared.storage.build`). Writes are atomic; a conditional write succeeds only
while the object has the revision that the writer knows, and of several that race exactly one does.

Some servers that speak S3 ignore the condition, or check it and write in two steps. On such a store
two hosts could both believe that they changed what is served, so a store is probed before its use.
"""

import secrets
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from shared.errors import SettingsError, UnderstudyError
from shared.sizes import GIB, MIB

MOST_BYTES = GIB
"""The most that is read of an object where its reader names no limit."""
MOST_SMALL_BYTES = 64 * MIB
"""The same of a small one: the shared state."""


class StoreAway(OSError):
    """Raised when the store does not answer, in time or at all; worth a retry."""

    def __init__(self, store: str, problem: str) -> None:
        super().__init__(None, f"the store {store} (STORE_URL) is away: {problem}")


class WriteConflict(UnderstudyError):
    """Raised when an object is no longer the one that a conditional write was to replace."""


class ObjectTooLarge(SettingsError):
    """Raised instead of reading an object that nothing of ours has written: it is too large."""

    def __init__(self, store: str, key: str, most_bytes: int) -> None:
        super().__init__(
            f"STORE_URL: {store}/{key} has more than {most_bytes:,} bytes, so it was not read; "
            "restore an older version of that object, or remove it"
        )


@dataclass(frozen=True, slots=True)
class Revision:
    """One content of one object: by e-tag, and by a number where the store counts (GCS)."""

    e_tag: str | None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read."""

    content: bytes
    revision: Revision


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object in a listing."""

    key: str
    size_bytes: int
    modified_us: int


class Unchanged:
    """The answer to a read of an object that still has the revision the reader knows."""


UNCHANGED = Unchanged()


class ObjectStore(Protocol):
    """Every method raises StoreAway when the store does not answer.

    Attributes:
        name: for messages; without credentials.
    """

    name: str

    def read(self, key: str, most_bytes: int = MOST_BYTES) -> StoredObject | None:
        """The object; None: there is none.

        Raises:
            ObjectTooLarge: it has more bytes.
        """
        ...

    def read_unless(self, key: str, known: Revision | None) -> StoredObject | Unchanged | None:
        """A small object, unless it still has this revision; given up sooner than `read`.

        Raises:
            ObjectTooLarge: it has more than `MOST_SMALL_BYTES`.
        """
        ...

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object."""
        ...

    def write_if(self, key: str, content: bytes, known: Revision | None) -> Revision:
        """Replace the object of this revision; None: create it where there is none.

        Raises:
            WriteConflict: it has another revision, or there is one.
        """
        ...

    def list(self, prefix: str) -> Iterable[ObjectInfo]:
        """The objects below a prefix that ends with a slash; empty: all."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...


_RACERS, _ROUNDS = 4, 3
_FOLDER, _PASSED = "probes", "probes/conditional-writes-hold"
_CHECKED_DAYS = 1.0
_DAY_US = 86_400_000_000


def refuse_without_conditional_writes(store: ObjectStore, now_us: int) -> None:
    """Try them; the races at most once a day for all hosts, the rest each time.

    Raises:
        SettingsError: they do not hold.
        StoreAway: it could not be tried.
    """
    key = f"{_FOLDER}/{secrets.token_hex(8)}"
    try:
        _try(store, key, now_us)
    except SettingsError:
        store.delete(key)
        raise
    store.delete(key)


def _try(store: ObjectStore, key: str, now_us: int) -> None:
    first = _must(store, lambda: store.write_if(key, b"first", None))
    _must_not(store, lambda: store.write_if(key, b"again", None))
    _must(store, lambda: store.write_if(key, b"second", first))
    _must_not(store, lambda: store.write_if(key, b"stale", first))
    if not _passed_lately(store, now_us):
        for number in range(_ROUNDS):
            _race(store, key, number)
        store.write(_PASSED, b"")


def _passed_lately(store: ObjectStore, now_us: int) -> bool:
    marks = (info for info in store.list(f"{_FOLDER}/") if info.key == _PASSED)
    return any(now_us - info.modified_us < _CHECKED_DAYS * _DAY_US for info in marks)


def _race(store: ObjectStore, key: str, number: int) -> None:
    """Several writers that know the same revision: exactly one may win."""
    found = store.read(key)
    known = None if found is None else found.revision
    start = threading.Barrier(_RACERS)

    def write(racer: int) -> bool:
        start.wait()
        return _wins(lambda: store.write_if(key, f"{number}-{racer}".encode(), known))

    with ThreadPoolExecutor(_RACERS) as pool:
        if sum(pool.map(write, range(_RACERS))) != 1:
            raise _not_atomic(store)


def _wins(write: Callable[[], Revision]) -> bool:
    try:
        write()
    except WriteConflict:
        return False
    return True


def _must(store: ObjectStore, write: Callable[[], Revision]) -> Revision:
    try:
        return write()
    except WriteConflict as error:
        raise _not_atomic(store) from error


def _must_not(store: ObjectStore, write: Callable[[], Revision]) -> None:
    if _wins(write):
        raise _not_atomic(store)


def _not_atomic(store: ObjectStore) -> SettingsError:
    return SettingsError(
        f"STORE_URL: {store.name}: this store does not do conditional writes atomically, so two "
        "hosts could both believe that they changed the live version; use S3, GCS, Azure, a newer "
        "release of the server, or unset STORE_URL"
    )
