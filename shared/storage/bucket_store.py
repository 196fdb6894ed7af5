"""A bucket as a store: S3, GCS or Azure through `obstore`, imported by this module alone.

The import opens no socket and no file. The first call starts obstore's own threads; it contacts
nothing but the store, and the metadata service of the cloud where no credentials are given.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotModifiedError,
    PreconditionError,
)
from obstore.store import ObjectStore as Bucket

from shared.clock import to_micros
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

_FAILED = (BaseError, OSError, ValueError)
# Characters of obstore's error texts that are shown; the rest is debug output.
_SAID = 200


def timeouts(seconds: float) -> dict[str, Any]:
    """Options of a client that gives up after this long; callers repeat, so it does not."""
    whole = timedelta(seconds=seconds)
    return {
        "client_options": {"timeout": whole, "connect_timeout": whole},
        "retry_config": {"max_retries": 0, "retry_timeout": whole},
    }


class BucketStore:
    """Objects below a prefix of a bucket.

    `quick` is the client of small reads and conditional writes, `patient` that of bundles.
    """

    def __init__(self, name: str, quick: Bucket, patient: Bucket) -> None:
        self.name = name
        self._quick = quick
        self._patient = patient

    def read(self, key: str, most_bytes: int = MOST_BYTES) -> StoredObject | None:
        return self._read(self._patient, key, {}, most_bytes)

    def read_unless(self, key: str, known: Revision | None) -> StoredObject | Unchanged | None:
        options = {} if known is None else {"if_none_match": known.e_tag}
        try:
            return self._read(self._quick, key, options, MOST_SMALL_BYTES)
        except _NotModified:
            return UNCHANGED

    def write(self, key: str, content: bytes) -> None:
        with self._errors():
            obstore.put(self._patient, key, content)

    def write_if(self, key: str, content: bytes, known: Revision | None) -> Revision:
        mode: Any = "create"
        if known is not None:
            said = {"e_tag": known.e_tag, "version": known.number}
            mode = {name: value for name, value in said.items() if value is not None}
        with self._errors():
            try:
                done = obstore.put(self._quick, key, content, mode=mode)
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                raise WriteConflict(f"{key} was written by another host") from error
        return Revision(done["e_tag"], done["version"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._errors():
            for page in obstore.list(self._patient, prefix or None):
                for found in page:
                    modified_us = to_micros(found["last_modified"])
                    yield ObjectInfo(found["path"], found["size"], modified_us)

    def delete(self, key: str) -> None:
        with self._errors():
            try:
                obstore.delete(self._patient, key)
            except FileNotFoundError:
                return

    def _read(
        self, bucket: Bucket, key: str, options: Mapping[str, Any], most_bytes: int
    ) -> StoredObject | None:
        with self._errors():
            try:
                found = obstore.get(bucket, key, options=dict(options))
                # the head of the answer says it, before anything of the object is in memory
                if found.meta["size"] > most_bytes:
                    raise ObjectTooLarge(self.name, key, most_bytes)
                content = bytes(found.bytes())
            except FileNotFoundError:
                return None
            except NotModifiedError as error:
                raise _NotModified from error
        meta = found.meta
        return StoredObject(content, Revision(meta["e_tag"], meta["version"]))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except _FAILED as error:
            first = str(error).partition("\n")[0]
            raise StoreAway(self.name, first[:_SAID]) from error


class _NotModified(Exception):
    pass
