"""Files of a journal that go while it is in use."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from api.journal.journal import Journal, JournalFull
from api.journal.segments import segment_path
from shared.errors import SettingsError
from tests.support.damaged_journals import BOUND, Tells, drain, newest, opened


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


def test_a_full_disk_on_which_everything_is_drained_takes_records_again(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: what is drained is all that fills it."""
    script = f"""
import os, resource, signal
from pathlib import Path
from tests.support.damaged_journals import (drain, opened)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = opened(Path({str(tmp_path)!r}))
journal.append([b"x" * 3000])
drain(journal, Path({str(tmp_path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (3500, 3500))
journal.append([b"y" * 3000])
assert journal.refusal is None
assert drain(journal, Path({str(tmp_path)!r})) == [b"y" * 3000]
os._exit(7)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": "."}, check=False
    )
    assert done.returncode == 7
