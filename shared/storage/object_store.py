"""The object store: whole objects by key, with compare-and-swap by revision.

`STORE_URL` names one (`shared.storage.build`). Writes are atomic; a conditional write succeeds only
while the object has the revision that the writer knows, and of several that race exactly one does.
"""

from collections.abc import Iterable
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
