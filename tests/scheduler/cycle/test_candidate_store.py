"""Old candidates are deleted; files of other origin are not."""

import os
from pathlib import Path

from scheduler.cycle.candidates import CandidateStore
from shared.bundle.version import Version
from shared.system.files import TEMPORARY_PREFIX


def version(patch: int) -> Version:
    return Version(1, 0, patch)


def filled(folder: Path, versions: int) -> CandidateStore:
    """A store that keeps two, with candidates of which each is newer than the one before."""
    store = CandidateStore(folder, keep=2)
    for patch in range(versions):
        store.save_bundle(version(patch), b"bundle")
        store.save_verdicts(version(patch), {"run_id": patch})
        os.utime(folder / f"1.0.{patch}" / "bundle.zip", (patch, patch))
    return store


def test_the_oldest_candidates_are_deleted(tmp_path: Path) -> None:
    store = filled(tmp_path, 4)
    assert store.prune(frozenset({version(0)})) == (version(1),)
    assert store.versions() == {version(0), version(2), version(3)}


def test_a_folder_with_a_persons_file_stays(tmp_path: Path) -> None:
    store = filled(tmp_path, 4)
    (tmp_path / "1.0.1" / "notes.txt").write_text("why this one was refused")
    assert store.prune(frozenset()) == (version(0),)
    assert (tmp_path / "1.0.1" / "notes.txt").exists()


def test_a_write_that_was_cut_off_keeps_no_candidate_alive(tmp_path: Path) -> None:
    store = filled(tmp_path, 4)
    (tmp_path / "1.0.1" / f"{TEMPORARY_PREFIX}report.html-1a2b").write_bytes(b"half")
    assert store.prune(frozenset()) == (version(0), version(1))


def test_the_versions_of_a_registry_that_is_named_by_mistake_stay(tmp_path: Path) -> None:
    """RETRAINED_MODELS_DIR=prod_models/versions: folders of the same names, with a meta.json."""
    store = filled(tmp_path, 4)
    for patch in range(4):
        (tmp_path / f"1.0.{patch}" / "meta.json").write_text("{}")
    assert store.prune(frozenset()) == ()
    assert len(store.versions()) == 4
