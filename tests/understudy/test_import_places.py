"""`understudy import` deletes nothing, and tries the place for rejects first (case C19)."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from shared.tables.engine import connect
from shared.tables.schema import transaction_history_logs
from tests.support.command_line import Command
from tests.support.existing_database import make_database
from understudy.commands.data import _place_for_rejects

pytestmark = pytest.mark.slow

HEADER = "id,account,booked_at,amount,merchant\n"
GOOD = "g1,u1,2026-01-05T10:15:00Z,12.50,m1\n"
BAD = "b1,,2026-01-05T10:15:00Z,12.50,m1\n"
MAPPING = """
[columns]
transaction_id = "id"
user_id = "account"
event_time = "booked_at"
amount = "amount"
merchant_id = "merchant"
[time]
zone = "UTC"
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """An input with one bad row, and its mapping."""
    file, mapping = tmp_path / "late.csv", tmp_path / "m.toml"
    file.write_text(HEADER + GOOD + BAD)
    mapping.write_text(MAPPING)
    return file, mapping


def stored(folder: Path) -> int:
    engine = connect(f"sqlite:///{folder / 'var' / 'understudy.db'}")
    with engine.connect() as connection:
        found = connection.scalar(select(func.count()).select_from(transaction_history_logs)) or 0
    engine.dispose()
    return found


TARGETS = ("the input", "the mapping", "a hard link", "a link", "a folder")


@pytest.mark.parametrize("target", TARGETS)
def test_the_input_and_the_mapping_survive_whatever_is_named_for_rejects(
    understudy: Command, tmp_path: Path, files: tuple[Path, Path], target: str
) -> None:
    file, mapping = files
    named = {"the input": file, "the mapping": mapping}.get(target, tmp_path / "target")
    match target:
        case "a hard link":
            named.hardlink_to(file)
        case "a link":
            named.symlink_to(file)
        case "a folder":
            named.mkdir()
    done = understudy("import", file, "--mapping", mapping, "--rejected", named)

    assert done.returncode == 2
    assert done.stderr.startswith("error: --rejected: ")
    assert len(done.stderr.splitlines()) == 1
    assert file.read_text() == HEADER + GOOD + BAD
    assert mapping.read_text() == MAPPING
    assert named.exists()
    assert stored(tmp_path) == 0


def test_a_place_that_takes_no_files_is_refused_before_the_first_row(
    understudy: Command, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    file, mapping = files
    done = understudy("import", file, "--mapping", mapping, "--rejected", tmp_path / "no" / "x.csv")
    assert (done.returncode, stored(tmp_path)) == (2, 0)
    assert "No such file or directory" in done.stderr


def test_rows_that_somebody_corrected_are_kept_when_the_import_is_repeated(
    understudy: Command, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    file, mapping = files
    assert understudy("import", file, "--mapping", mapping).returncode == 0
    rejects = tmp_path / "late.csv.rejected.csv"
    corrected = rejects.read_text().replace(",,", ",u2,")
    rejects.write_text(corrected)
    assert understudy("import", file, "--mapping", mapping).returncode == 0
    assert (tmp_path / "late.csv.rejected.csv.1").read_text() == corrected
    assert rejects.read_text() != corrected


def test_an_import_that_changes_nothing_says_so_and_offers_nothing_to_undo(
    understudy: Command, files: tuple[Path, Path]
) -> None:
    file, mapping = files
    assert (
        "To undo: understudy rows undo 1" in understudy("import", file, "--mapping", mapping).stdout
    )
    again = understudy("import", file, "--mapping", mapping).stdout
    assert "Nothing was changed." in again
    assert "To undo" not in again


def test_beside_a_read_only_input_the_current_folder_takes_the_rejects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _place_for_rejects(tmp_path / "sub" / "a.rejected.csv") == tmp_path / "a.rejected.csv"
    (tmp_path / "sub").mkdir()
    beside = tmp_path / "sub" / "a.rejected.csv"
    assert _place_for_rejects(beside) == beside


def test_the_page_of_a_drift_check_replaces_no_file_of_a_person(
    understudy: Command, tmp_path: Path
) -> None:
    make_database(tmp_path)
    page = tmp_path / "report.html"
    page.write_text("<html>mine</html>")
    done = understudy("drift", "--html", page)
    # no row is there to be compared, which is said first
    assert done.returncode == 3
    assert page.read_text() == "<html>mine</html>"
