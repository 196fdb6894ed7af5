"""Files of a journal that go while it is in use."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from api.journal.journal import Journal, JournalFull
from api.journal.segments import segment_path
from shared.errors import SettingsError
from tests.api.test_journal_damage import BOUND, Tells, drain, newest, opened


@pytest.mark.parametrize("removed", [lambda path: newest(path).unlink(), shutil.rmtree])
def test_a_journal_that_is_removed_while_it_is_written_to_is_written_anew(
    tmp_path: Path, removed: Callable[[Path], object]
) -> None:
    directory = tmp_path / "j"
    journal = opened(directory)
    journal.append([b"before", b"the"])
    removed(directory)
    journal.append([b"meanwhile"])
    journal.keep_name()
    journal.append([b"after"])
    with pytest.raises(SettingsError, match="another process"):
        Journal(directory, BOUND).open()
    journal.close()
    again = opened(directory)
    assert drain(again, directory) == [b"before", b"the", b"meanwhile", b"after"]
    again.close()


def test_where_it_cannot_be_written_anew_nothing_more_is_acknowledged(tmp_path: Path) -> None:
    directory = tmp_path / "j"
    journal = opened(directory)
    journal.append([b"before"])
    shutil.rmtree(directory)
    directory.write_bytes(b"in the way")
    journal.keep_name()
    with pytest.raises(JournalFull, match="removed"):
        journal.append([b"refused"])
    assert "removed" in (journal.refusal or "")
    directory.unlink()
    journal.keep_name()
    journal.append([b"after"])
    assert journal.refusal is None
    assert drain(journal, directory) == [b"before", b"after"]
    journal.close()


def test_a_bad_sector_that_comes_while_it_runs_costs_what_is_behind_it_and_is_kept(
    tmp_path: Path,
) -> None:
    tells = Tells()
    journal = opened(tmp_path, tells)
    for number in range(12):
        journal.append([b"%02d" % number + b"x" * 1000])
    segment_path(tmp_path, 2).unlink()
    segment_path(tmp_path, 2).symlink_to("/proc/self/mem")
    assert [r[:2] for r in drain(journal, tmp_path)] == [
        b"00", b"01", b"02", b"03", b"04", b"10", b"11",
    ]  # fmt: skip
    assert tells.kinds == ["unreadable"]
    assert [path.name for path in tmp_path.glob("*.unreadable")] == ["000000000002.unreadable"]
    journal.close()
