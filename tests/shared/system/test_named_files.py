"""Nothing that a person names is removed or overwritten, and a place is tried at once."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.system.named_files import NamedFile, PlaceRefused

OURS = "ours,"


def is_ours(head: bytes) -> bool:
    return head.startswith(OURS.encode())


def write(
    path: Path, text: str, *, keep_earlier: bool = False, reads: tuple[Path, ...] = ()
) -> None:
    with NamedFile(path, "--out", is_ours, reads=reads, keep_earlier=keep_earlier) as file:
        if text:
            file.text.write(text)


def break_off_after(path: Path, text: str) -> None:
    with NamedFile(path, "--out", is_ours, keep_earlier=True) as file:
        file.text.write(text)
        raise KeyError


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 - also hidden files


def test_a_new_file_is_written_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    write(tmp_path / "new", "ours,1")
    assert ((tmp_path / "new").read_text(), names(tmp_path)) == ("ours,1", ["new"])


def test_what_was_not_made_here_is_refused_and_stays(tmp_path: Path) -> None:
    for content in (b"", b"a person's", b"\xff\x00"):
        (tmp_path / "theirs").write_bytes(content)
        with pytest.raises(PlaceRefused, match=r"--out: .*theirs is there already"):
            write(tmp_path / "theirs", "ours,2")
        assert (tmp_path / "theirs").read_bytes() == content
    assert names(tmp_path) == ["theirs"]


@pytest.mark.parametrize("link", ["itself", "hard link", "symbolic link", "through a folder"])
def test_a_file_that_is_read_is_never_written_by_whatever_name(tmp_path: Path, link: str) -> None:
    source = tmp_path / "source"
    source.write_text("ours, but read")
    target = tmp_path / "target"
    match link:
        case "itself":
            target = source
        case "hard link":
            target.hardlink_to(source)
        case "symbolic link":
            target.symlink_to(source)
        case _:
            (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
            target = tmp_path / "folder" / "source"
    with pytest.raises(PlaceRefused, match="is a file that this command reads"):
        write(target, "ours,2", reads=(source,))
    assert source.read_text() == "ours, but read"
    assert target.exists()


def test_a_folder_is_refused_and_so_is_a_place_without_one(tmp_path: Path) -> None:
    with pytest.raises(PlaceRefused, match="is a folder"):
        write(tmp_path, "ours,")
    with pytest.raises(PlaceRefused, match="No such file or directory"):
        write(tmp_path / "gone" / "file", "ours,")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(PlaceRefused, match="--out"):
        write(tmp_path / "loop", "ours,")


def test_the_place_is_tried_before_anything_is_written(tmp_path: Path) -> None:
    began = False
    with (
        pytest.raises(PlaceRefused),
        NamedFile(tmp_path / "gone" / "file", "--out", is_ours),
    ):
        began = True
    assert not began


def test_ours_is_replaced_or_kept_under_a_number(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(path, "ours,1")
    write(path, "ours,2")
    assert names(tmp_path) == ["out"]
    write(path, "ours,3", keep_earlier=True)
    write(path, "ours,3", keep_earlier=True)
    write(path, "ours,4", keep_earlier=True)
    assert [path.read_text(), *((tmp_path / f"out.{n}").read_text() for n in (1, 2))] == [
        "ours,4",
        "ours,2",
        "ours,3",
    ]
    write(path, "", keep_earlier=True)
    assert names(tmp_path) == ["out.1", "out.2", "out.3"]


def test_work_that_breaks_off_leaves_what_was_there_and_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(path, "ours,1")
    with pytest.raises(KeyError), NamedFile(path, "--out", is_ours, keep_earlier=True):
        raise KeyError
    assert (path.read_text(), names(tmp_path)) == ("ours,1", ["out"])
    with pytest.raises(KeyError):
        break_off_after(path, "ours,2")
    assert (path.read_text(), (tmp_path / "out.1").read_text()) == ("ours,2", "ours,1")


def test_a_file_that_somebody_puts_there_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    named = NamedFile(path, "--out", is_ours)
    named.__enter__()
    named.text.write("ours,1")
    path.write_text("a person's")
    with pytest.raises(PlaceRefused):
        named.__exit__(None, None, None)
    assert path.read_text() == "a person's"


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "ours,1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "ours,1"


def test_a_device_takes_what_is_written() -> None:
    write(Path("/dev/null"), "ours,1")
    assert Path("/dev/null").is_char_device()


@given(st.binary(max_size=200), st.booleans())
def test_no_content_of_a_persons_file_is_ever_changed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, keep: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "file").write_bytes(content)
    try:
        write(folder / "file", "ours,new", keep_earlier=True)
    except PlaceRefused:
        assert not is_ours(content)
    kept = [(folder / name).read_bytes() for name in names(folder)]
    assert content in kept
