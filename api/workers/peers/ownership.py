"""The worker that decides about a row: the owner of its entity, unless another claimed its id.

A stable hash of the user's id over the number of workers names the owner; rows without a user go by
their transaction_id, so that a retry meets its first decision; rows with neither belong to the
worker that accepted them.

Rows of one id and two users belong to two workers, neither of which sees what the other has not
stored yet. So a worker claims an id before it decides about it; an id that another worker has
claimed carries another payload. The table of claims is a file that is mapped and never synced: it
is about the last hour of this host, and the database knows the rest.

| part of an entry | bytes |
|---|---|
| key: a hash of the id | 11 |
| the worker's number, and one; 0: the entry is free | 1 |
| when it was claimed, seconds of the host's monotonic clock | 4 |

Eight entries are a bucket, in which a new claim replaces the oldest.
"""

import fcntl
import mmap
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel
from pydantic_core import from_json

from shared.tables.transaction_store import TRANSACTIONS
from shared.usecase.rows import RowFields

_ENTRY = struct.Struct("<11sBI")
_BUCKET_ENTRIES = 8
_BUCKET = struct.Struct("<" + "11xBI" * _BUCKET_ENTRIES)
_BUCKETS = 32_768
_BYTES = _BUCKETS * _BUCKET.size
# Older decisions are in the database, if it is available.
_VALID_SECONDS = 3_600
# The lock is held for a few microseconds a row, unless its process is stopped.
_LOCK_SECONDS = 0.05


class Owner(NamedTuple):
    """The worker that a row belongs to.

    Attributes:
        is_named: the caller chose the row's transaction_id, so it may be sent twice.
    """

    number: int
    is_named: bool


def parsed(body: bytes) -> Any:
    """The parsed body; also of one with NaN or long integers, which orjson refuses.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # parsed as in validation, so that every row that is scored has an owner
        return from_json(body)


class Ownership:
    """Maps a row to the worker that owns it."""

    def __init__(
        self,
        number: int,
        total: int,
        request_model: type[BaseModel],
        fields: RowFields = TRANSACTIONS.fields,
    ) -> None:
        self.number = number
        self.fields = fields
        self._total = total
        field = request_model.model_fields.get(fields.entity or "")
        default = None if field is None else field.default
        self._default_user = default if isinstance(default, str) else None

    def of_body(self, body: bytes) -> Owner:
        """The owner of a row as it was sent; a body that is not understood is this worker's."""
        try:
            return self.of(parsed(body))
        except ValueError:
            return Owner(self.number, is_named=False)

    def of(self, row: Any) -> Owner:
        """The owner of a parsed row."""
        if not isinstance(row, dict):
            return Owner(self.number, is_named=False)
        fields = self.fields
        user, name = row.get(fields.entity, self._default_user), row.get(fields.row_id)
        is_named = isinstance(name, str)
        key = user if isinstance(user, str) else name
        if not isinstance(key, str):
            return Owner(self.number, is_named)
        return Owner(zlib.crc32(key.encode()) % self._total, is_named)


class Claims:
    """This worker's claims among those of all; safe to use from several threads."""

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        self._mark = number + 1
        self._lock = threading.Lock()

    def open(self) -> None:
        """Map the table, making it if it is not there.

        Raises:
            OSError: there can be none.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(descriptor, _BYTES)
        self._descriptor, self._table = descriptor, mmap.mmap(descriptor, _BYTES)

    def keep_shared(self) -> None:
        """Map the table that is there now, if the mapped one was removed.

        Raises:
            OSError: there can be none.
        """
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):  # noqa: PTH116
                return
        except FileNotFoundError:
            pass
        with self._lock:
            table, descriptor = self._table, self._descriptor
            self.open()
            table.close()
            os.close(descriptor)

    def close(self) -> None:
        self._table.close()
        os.close(self._descriptor)

    def claim(self, ids: Iterable[str]) -> set[str]:
        """Claim these ids for this worker; returns those that another one has claimed."""
        now = int(time.monotonic())
        with self._locked():
            return {name for name in ids if not self._claim(name, now)}

    def release(self, ids: Iterable[str]) -> None:
        """Releases claims of rows that were not decided."""
        with self._locked():
            for name in ids:
                key, bucket = _place(name)
                at = self._find(key, bucket)
                if at is not None and self._table[at + len(key)] == self._mark:
                    self._table[at : at + _ENTRY.size] = bytes(_ENTRY.size)

    def _claim(self, name: str, now: int) -> bool:
        key, bucket = _place(name)
        at = self._find(key, bucket)
        if at is None:
            stamps = _BUCKET.unpack_from(self._table, bucket)[1::2]
            at = bucket + stamps.index(min(stamps)) * _ENTRY.size
        else:
            _, mark, then = _ENTRY.unpack_from(self._table, at)
            if mark != self._mark and now - then < _VALID_SECONDS:
                return False
        _ENTRY.pack_into(self._table, at, key, self._mark, now)
        return True

    def _find(self, key: bytes, bucket: int) -> int | None:
        """The offset of a key's entry."""
        end = bucket + _BUCKET.size
        at = self._table.find(key, bucket, end)
        while at >= 0:
            if (at - bucket) % _ENTRY.size == 0 and self._table[at + len(key)]:
                return at
            at = self._table.find(key, at + 1, end)
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone, unless the worker that holds the lock is stopped: then it is not waited for."""
        with self._lock:
            held = self._held()
            try:
                yield
            finally:
                if held:
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _held(self) -> bool:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.0001)
            else:
                return True


def _place(name: str) -> tuple[bytes, int]:
    """The key of an id, and where its bucket begins."""
    digest = blake2b(name.encode(), digest_size=15).digest()
    number = int.from_bytes(digest[11:], "little") % _BUCKETS
    return digest[:11], number * _BUCKET.size
