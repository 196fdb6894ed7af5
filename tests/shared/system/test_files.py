"""Files written as a whole: what is at a path afterwards, also after a failure or a race."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.system.files import (
    append_line,
    create_once,
    make_folder,
    move,
    sync_directory,
    write_directory,
    write_whole,
    write_whole_within,
)

WRITES: dict[str, Callable[[Path], object]] = {
    "write_whole": lambda path: write_whole(path, b"new"),
    "write_whole_within": lambda path: write_whole_within(path, b"new"),
    "create_once": lambda path: create_once(path, b"new"),
    "append_line": lambda path: append_line(path, b"new"),
    "write_directory": lambda path: write_directory(path, {"file": b"new"}),
    "make_folder": make_folder,
}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the directories in the order in which they were synced."""
    found: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        found.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


@pytest.mark.parametrize("name", WRITES)
def test_the_directory_is_synced_after_a_name_appears_in_it(
    tmp_path: Path, synced: list[str], name: str
) -> None:
    WRITES[name](tmp_path / "place")
    assert synced[-1] == tmp_path.name


@pytest.mark.parametrize("name", WRITES)
def test_nothing_temporary_is_left(tmp_path: Path, name: str) -> None:
    WRITES[name](tmp_path / "place")
    assert names(tmp_path) == {"place"}


def test_a_file_that_need_not_survive_a_power_cut_costs_no_sync(
    tmp_path: Path, synced: list[str]
) -> None:
    write_whole(tmp_path / "place", b"new", durable=False)
    assert synced == []


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(OSError, match="place"):
        write_whole(tmp_path / "place", b"new")
    assert names(tmp_path) == {"place"}


def test_a_folder_that_is_missing_is_made_only_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "folder" / "place", b"new")
    write_whole_within(tmp_path / "a" / "b" / "place", b"new")
    assert (tmp_path / "a" / "b" / "place").read_bytes() == b"new"


def test_of_many_that_create_a_file_one_wins_and_all_agree(tmp_path: Path) -> None:
    path, won = tmp_path / "keys" / "token", list[bytes]()
    start = threading.Barrier(8)

    def create(content: bytes) -> None:
        start.wait()
        if create_once(path, content):
            won.append(content)

    threads = [threading.Thread(target=create, args=(b"%d" % number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [path.read_bytes()]
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)


def test_a_reader_never_sees_half_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "place"
    contents = [bytes([letter]) * 100_000 for letter in b"ab"]
    write_whole(path, contents[0])
    seen, done = set[bytes](), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        write_whole(path, contents[turn % 2], durable=False)
    done.set()
    reader.join()
    assert seen <= set(contents)


def test_lines_are_added_one_after_the_other(tmp_path: Path) -> None:
    for line in (b"one", b"two"):
        append_line(tmp_path / "log", line)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_a_move_syncs_the_directory_it_leaves_and_the_one_it_enters(
    tmp_path: Path, synced: list[str]
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "key").write_bytes(b"content")
    move(tmp_path / "old" / "key", tmp_path / "new" / "key")
    assert sorted(synced) == ["new", "old"]
    assert (tmp_path / "new" / "key").read_bytes() == b"content"


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "missing")


def test_what_is_there_is_not_written_beside(tmp_path: Path) -> None:
    """A mounted secret: the file is there, and nothing beside it can be made."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "push.token").write_text("given")
    (tmp_path / "keys").symlink_to(tmp_path / "secret")
    before = (tmp_path / "secret").stat().st_mtime_ns
    assert not create_once(tmp_path / "keys" / "push.token", b"made")
    assert (tmp_path / "secret").stat().st_mtime_ns == before
    assert (tmp_path / "secret" / "push.token").read_text() == "given"
