"""Candidates and held-out sets in a store: what one scheduler wrote, another host's has."""

import hashlib
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.shared_files import SharedFiles
from shared.bundle.version import Version
from shared.keys.store import KeyStore, sign
from shared.storage.folder_store import FolderStore
from shared.storage.object_store import MOST_BYTES, StoreAway, StoredObject
from tests.hosts.world import away

FIRST, SECOND = Version.parse("1.0.0"), Version.parse("1.0.1")


class Schedulers:
    """Hosts with one store and one key."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bucket = folder, folder / "bucket"
        self.bucket.mkdir()
        self.keys = KeyStore(folder / "keys")
        self.keys.ensure_signing_key()

    def files(self, prefix: str) -> SharedFiles:
        keys = self.keys
        return SharedFiles(
            FolderStore(self.bucket),
            prefix,
            lambda text: sign(text, keys.private_key()),
            keys.accepted_keys,
        )

    def candidates(self, host: str, keep: int = 3) -> CandidateStore:
        return CandidateStore(self.folder / host / "candidates", keep, self.files("candidates/"))

    def held_out(self, host: str) -> HeldOutStore:
        return HeldOutStore(self.folder / host / "test_data", 2, self.files("held-out/"))


class GoesAway(FolderStore):
    """Lists its objects, and answers no more."""

    def __init__(self, folder: Path, refuses: str) -> None:
        super().__init__(folder)
        self._refuses = refuses

    def read(self, key: str, most_bytes: int = MOST_BYTES) -> StoredObject | None:
        if self._refuses == "read":
            raise StoreAway(self.name, "it does not answer")
        return super().read(key, most_bytes)

    def write(self, key: str, content: bytes) -> None:
        raise StoreAway(self.name, "it does not answer")


@pytest.fixture
def schedulers(tmp_path: Path) -> Schedulers:
    return Schedulers(tmp_path)


def test_a_scheduler_that_takes_over_has_what_the_other_made(schedulers: Schedulers) -> None:
    first, second = schedulers.candidates("a"), schedulers.candidates("b")
    first.save_bundle(FIRST, b"a bundle")
    first.save_verdicts(FIRST, {"status": "ON_TRIAL"})
    first.save_report(FIRST, "<html>a page</html>")
    assert second.bundle(FIRST) == b"a bundle"
    assert second.report(FIRST) == "<html>a page</html>"
    second.save_verdicts(FIRST, {"status": "SUCCEEDED"})
    assert first.verdicts(FIRST) == {"status": "SUCCEEDED"}
    assert second.bundle(SECOND) is None


def test_what_a_stranger_wrote_into_the_store_is_not_used(schedulers: Schedulers) -> None:
    first, second = schedulers.candidates("a"), schedulers.candidates("b")
    first.save_bundle(FIRST, b"a bundle")
    first.save_bundle(SECOND, b"another bundle")
    there = schedulers.bucket / "candidates"
    (there / "1.0.0" / "bundle.zip").write_bytes(b"poisoned")
    assert second.bundle(FIRST) is None
    # nor a good file under another name
    for name in ("bundle.zip", "bundle.zip.signature"):
        (there / "1.0.0" / name).write_bytes((there / "1.0.1" / name).read_bytes())
    assert second.bundle(FIRST) is None
    assert second.bundle(SECOND) == b"another bundle"


def test_what_was_made_while_the_store_was_away_follows_later(schedulers: Schedulers) -> None:
    first, second = schedulers.candidates("a"), schedulers.candidates("b")
    with away(schedulers.bucket):
        first.save_bundle(FIRST, b"a bundle")
        first.save_verdicts(FIRST, {"status": "REFUSED"})
        assert first.verdicts(FIRST) == {"status": "REFUSED"}
        first.prune(frozenset())
    assert second.bundle(FIRST) is None
    first.prune(frozenset({FIRST}))
    assert second.bundle(FIRST) == b"a bundle"
    assert second.verdicts(FIRST) == {"status": "REFUSED"}


def test_the_store_keeps_as_many_candidates_as_a_disk(schedulers: Schedulers) -> None:
    store = schedulers.candidates("a", keep=2)
    for number in range(4):
        store.save_bundle(Version.parse(f"1.0.{number}"), b"a bundle")
    store.prune(frozenset({FIRST}))
    kept = {
        path.name for path in (schedulers.bucket / "candidates").iterdir() if any(path.iterdir())
    }
    assert kept == {"1.0.0", "1.0.2", "1.0.3"}


def test_a_person_is_erased_from_the_sets_of_every_host(schedulers: Schedulers) -> None:
    rows = pl.DataFrame({"user_id": ["eve", "bob", "eve"], "amount": [1.0, 2.0, 3.0]})
    schedulers.held_out("a").save(FIRST, rows)
    assert schedulers.held_out("b").erase("user_id", "eve") == 2
    shared = schedulers.files("held-out/")
    left, digest = (shared.get(f"held_out_1.0.0.parquet{end}") for end in ("", ".sha256"))
    assert left is not None
    assert pl.read_parquet(left)["user_id"].to_list() == ["bob"]
    assert digest is not None
    assert digest.decode().split()[0] == hashlib.sha256(left).hexdigest()


def test_a_store_that_is_away_does_not_count_as_erased(schedulers: Schedulers) -> None:
    with away(schedulers.bucket), pytest.raises(OSError, match="erase again when it is back"):
        schedulers.held_out("b").erase("user_id", "eve")


@pytest.mark.parametrize("host", ["a", "b"])
@pytest.mark.parametrize("refuses", ["read", "write"])
def test_a_store_that_goes_away_in_the_middle_is_erased_from_the_next_time(
    schedulers: Schedulers, host: str, refuses: str
) -> None:
    rows = pl.DataFrame({"user_id": ["eve", "bob"], "amount": [1.0, 2.0]})
    schedulers.held_out("a").save(FIRST, rows)
    files = schedulers.files("held-out/")
    broken = replace(files, store=GoesAway(schedulers.bucket, refuses))
    root = schedulers.folder / host / "test_data"
    with pytest.raises(OSError, match="erase again when it is back"):
        HeldOutStore(root, 2, broken).erase("user_id", "eve")
    assert HeldOutStore(root, 2, files).erase("user_id", "eve") == 1
    left = files.get("held_out_1.0.0.parquet")
    assert left is not None
    assert pl.read_parquet(left)["user_id"].to_list() == ["bob"]


def test_a_set_that_was_left_half_written_goes_when_somebody_is_erased(
    schedulers: Schedulers,
) -> None:
    schedulers.held_out("a").save(FIRST, pl.DataFrame({"user_id": ["eve"]}))
    (schedulers.bucket / "held-out" / "held_out_1.0.0.parquet.signature").unlink()
    schedulers.held_out("b").erase("user_id", "eve")
    assert not (schedulers.bucket / "held-out" / "held_out_1.0.0.parquet").exists()


def test_the_signature_of_a_file_is_none_of_a_bundle(schedulers: Schedulers) -> None:
    """Or write access to the bucket would be enough to push a candidate."""
    schedulers.candidates("a").save_bundle(FIRST, b"a bundle")
    signature = schedulers.bucket / "candidates" / "1.0.0" / "bundle.zip.signature"
    assert signature.read_text() != sign(b"a bundle", schedulers.keys.private_key())
