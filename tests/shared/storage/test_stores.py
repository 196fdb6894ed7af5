"""One contract for every store: a folder, memory and S3 behind obstore."""

import fcntl
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.errors import SettingsError
from shared.settings import StoreSettings
from shared.storage.build import open_store
from shared.storage.folder_store import FolderStore
from shared.storage.object_store import (
    MOST_BYTES,
    UNCHANGED,
    ObjectInfo,
    ObjectStore,
    ObjectTooLarge,
    Revision,
    StoreAway,
    StoredObject,
    Unchanged,
    WriteConflict,
    refuse_without_conditional_writes,
)
from tests.support.seaweedfs import S3Server, require_obstore, s3_server

__all__ = ["s3_server"]
RACERS = 8


def in_memory() -> ObjectStore:
    """obstore's own store in memory, behind the class that buckets have."""
    require_obstore()
    from obstore.store import MemoryStore  # noqa: PLC0415

    from shared.storage.bucket_store import BucketStore  # noqa: PLC0415

    bucket = MemoryStore()
    return BucketStore("memory", bucket, bucket)


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "folder":
        yield FolderStore(tmp_path)
    elif request.param == "memory":
        yield in_memory()
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        opened = open_store(StoreSettings.model_validate(server.settings()))
        assert opened is not None
        yield opened


def test_what_was_written_is_read_and_listed_until_it_is_deleted(store: ObjectStore) -> None:
    assert store.read("a/b") is None
    store.write("a/b", b"first")
    store.write("a/b", b"second")
    found = store.read("a/b")
    assert found is not None
    assert found.content == b"second"
    [info] = store.list("a/")
    assert (info.key, info.size_bytes) == ("a/b", 6)
    assert list(store.list("other/")) == []
    store.delete("a/b")
    store.delete("a/b")
    assert store.read("a/b") is None
    assert list(store.list("a/")) == []


def test_an_object_that_is_larger_than_its_reader_takes_is_not_read(store: ObjectStore) -> None:
    store.write("a/b", b"12345")
    with pytest.raises(ObjectTooLarge, match="a/b has more than 4 bytes"):
        store.read("a/b", 4)
    found = store.read("a/b", 5)
    assert found is not None
    assert found.content == b"12345"


def test_a_conditional_write_holds_only_for_the_revision_that_is_there(store: ObjectStore) -> None:
    first = store.write_if("state", b"1", None)
    with pytest.raises(WriteConflict):
        store.write_if("state", b"2", None)
    second = store.write_if("state", b"2", first)
    with pytest.raises(WriteConflict):
        store.write_if("state", b"3", first)
    with pytest.raises(WriteConflict):
        store.write_if("never", b"3", first)
    found = store.read("state")
    assert found is not None
    assert (found.content, found.revision) == (b"2", second)


def test_a_read_says_that_nothing_has_changed(store: ObjectStore) -> None:
    assert store.read_unless("state", None) is None
    known = store.write_if("state", b"1", None)
    assert store.read_unless("state", known) is UNCHANGED
    assert store.read_unless("state", None) == StoredObject(b"1", known)
    store.write_if("state", b"2", known)
    found = store.read_unless("state", known)
    assert isinstance(found, StoredObject)
    assert found.content == b"2"


def test_of_writers_that_race_exactly_one_wins(store: ObjectStore) -> None:
    """SeaweedFS 4.16 let several through."""
    known: Revision | None = None
    for round_ in range(5):
        start = threading.Barrier(RACERS)

        def write(racer: int, number: int = round_, base: Revision | None = known,
                  gate: threading.Barrier = start) -> Revision | None:  # fmt: skip
            gate.wait()
            try:
                return store.write_if("state", f"{number}-{racer}".encode(), base)
            except WriteConflict:
                return None

        with ThreadPoolExecutor(RACERS) as pool:
            won = [found for found in pool.map(write, range(RACERS)) if found is not None]
        assert len(won) == 1
        known = won[0]


def test_a_store_that_holds_its_conditions_passes_the_probe(store: ObjectStore) -> None:
    refuse_without_conditional_writes(store, 0)
    assert [info.key for info in store.list("probes/")] == ["probes/conditional-writes-hold"]


class Forgetful:
    """A store that ignores conditions, as some servers do."""

    name = "s3://forgetful"

    def __init__(self, store: FolderStore) -> None:
        self._store = store

    def read(self, key: str, most_bytes: int = MOST_BYTES) -> StoredObject | None:
        return self._store.read(key, most_bytes)

    def read_unless(self, key: str, known: Revision | None) -> StoredObject | Unchanged | None:
        return self._store.read_unless(key, known)

    def write(self, key: str, content: bytes) -> None:
        self._store.write(key, content)

    def write_if(self, key: str, content: bytes, known: Revision | None) -> Revision:
        self._store.write(key, content)
        return Revision("always")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)


class InTwoSteps(Forgetful):
    """A store that checks the condition, and then writes: all who race have read by then."""

    def __init__(self, store: FolderStore) -> None:
        super().__init__(store)
        self._racing: dict[str, threading.Barrier] = {}

    def write_if(self, key: str, content: bytes, known: Revision | None) -> Revision:
        found = self._store.read(key)
        if known != (None if found is None else found.revision):
            raise WriteConflict(key)
        if b"-" in content:
            self._racing.setdefault(key, threading.Barrier(4)).wait(10)
        self._store.write(key, content)
        after = self._store.read(key)
        assert after is not None
        return after.revision


@pytest.mark.parametrize("kind", [Forgetful, InTwoSteps])
def test_a_store_whose_conditions_do_not_hold_is_refused(
    kind: type[Forgetful], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="does not do conditional writes atomically"):
        refuse_without_conditional_writes(kind(FolderStore(tmp_path)), 0)
    assert list(FolderStore(tmp_path).list("probes/")) == []


@pytest.mark.parametrize("key", ["linked/file", "../outside/file", "linked-file"])
def test_a_link_in_the_folder_leads_to_nothing_outside_of_it(key: str, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root, outside):
        folder.mkdir()
    (outside / "file").write_bytes(b"a key")
    (root / "linked").symlink_to(outside)
    (root / "linked-file").symlink_to(outside / "file")
    store = FolderStore(root)
    with pytest.raises(StoreAway):
        store.read(key)
    if not key.startswith("linked-"):
        for call in (
            lambda: store.write(key, b"ours"),
            lambda: store.write_if(key, b"ours", None),
            lambda: store.delete(key),
            lambda: list(store.list(key.removesuffix("file"))),
        ):
            with pytest.raises(StoreAway, match="leads out of its folder"):
                call()
    assert list(store.list("")) == []
    assert (outside / "file").read_bytes() == b"a key"
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    with pytest.raises(StoreAway, match="is not a file"):
        FolderStore(tmp_path).read("state.json")


def test_a_process_that_stands_still_with_the_lock_is_not_waited_for_without_end(
    tmp_path: Path,
) -> None:
    store = FolderStore(tmp_path, wait_seconds=0.1)
    first = store.write_if("state", b"1", None)
    with (tmp_path / ".lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreAway, match="has held its lock"):
            store.write_if("state", b"2", first)
        store.write("bundle", b"whole objects need no lock")
        assert store.read_unless("state", first) is UNCHANGED
    store.write_if("state", b"2", first)


def test_a_folder_that_is_gone_is_a_store_that_is_away(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "mount")
    for call in (
        lambda: store.read("a"),
        lambda: store.write("a", b""),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StoreAway, match="is away: there is no such folder"):
            call()


def test_a_server_that_does_not_answer_is_away_and_its_key_is_not_told() -> None:
    require_obstore()
    said: dict[str, Any] = {
        "store_url": "s3://bucket/prefix",
        "store_endpoint": "http://127.0.0.1:9",
        "store_access_key_id": "name",
        "store_secret_access_key": "very-secret",
        "store_timeout_seconds": 1,
        "store_transfer_timeout_seconds": 1,
    }
    settings = StoreSettings.model_validate(said)
    store = open_store(settings)
    assert store is not None
    with pytest.raises(StoreAway) as raised:
        store.read("state")
    assert "s3://bucket/prefix (STORE_URL) is away" in str(raised.value.strerror)
    assert "very-secret" not in str(raised.value) + repr(settings)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/x", "write it as s3://"),
        ("s3://user:word@bucket/x", "credentials go into"),
        ("s3://", "name the bucket"),
        ("s3://bucket/x?key=1", "leave out"),
        ("file://mnt/x", "three slashes"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_without_repeating_it(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        StoreSettings.model_validate({"store_url": url})
    assert "word" not in str(raised.value).partition("[type=")[0]
