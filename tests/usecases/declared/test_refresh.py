"""A declared source is read before every run: new rows, labels that arrived, queries from where
they stood; the command line imports it, and never fills it with another use case's past."""

import sqlite3
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from sqlalchemy import Engine

from shared.errors import DataUnavailable, SettingsError
from shared.rows.declaration import DeclarationError
from shared.tables.data_changes import list_changes
from shared.tables.engine import connect, migrate
from tests.support.declared_source import HEAD, NOW_US, use_case
from understudy.importing_declared import import_declared, preview_declared


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    yield engine
    engine.dispose()


def test_every_snapshot_reads_the_files_beside_the_declaration_again(
    engine: Engine, tmp_path: Path
) -> None:
    learning = use_case(tmp_path)
    rows = tmp_path / "rows.csv"
    rows.write_text(HEAD + "a,2026-01-01,1,\n")
    assert learning.snapshot(engine, NOW_US)["label"].to_list() == [None]
    rows.write_text(HEAD + "a,2026-01-01,1,yes\nb,2026-01-02,2,no\n")
    assert learning.snapshot(engine, NOW_US)["label"].to_list() == [1.0, 0.0]


def test_a_source_that_is_away_keeps_nothing_from_being_learned(
    engine: Engine, tmp_path: Path
) -> None:
    learning = use_case(tmp_path)
    with pytest.raises(DataUnavailable, match=r"rows\.csv"):
        learning.snapshot(engine, NOW_US)
    rows = tmp_path / "rows.csv"
    rows.write_text(HEAD + "a,2026-01-01,1,yes\n")
    learning.snapshot(engine, NOW_US)
    rows.unlink()
    assert learning.snapshot(engine, NOW_US).height == 1


@pytest.mark.parametrize("stored", [False, True])
def test_a_kind_that_fits_no_row_is_told_with_the_column_and_the_remedy(
    engine: Engine, tmp_path: Path, stored: bool
) -> None:
    learning = use_case(tmp_path)
    rows = tmp_path / "rows.csv"
    if stored:
        rows.write_text(HEAD + "a,2026-01-01,1,yes\n")
        learning.snapshot(engine, NOW_US)
    rows.write_text(HEAD + "b,2026-01-01,small,yes\nc,2026-01-02,large,no\n")
    with pytest.raises(DeclarationError) as raised:
        learning.snapshot(engine, NOW_US)
    said = str(raised.value)
    assert (
        "all 2 rows were rejected, 2 because size is 'small', which is not a number (row 1" in said
    )
    assert "correct the column's line in [columns], or the source" in said


def test_a_query_goes_on_from_where_it_stood(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.db"
    with sqlite3.connect(theirs) as connection:
        connection.execute("create table t (key, at, size, y, changed)")
        connection.execute("insert into t values ('a', '2026-01-01', 1, 'no', '2026-01-01')")
    connection.close()
    learning = use_case(tmp_path, 'sql = "select * from t where changed > :since"')
    with pytest.raises(SettingsError, match="SOURCE_DATABASE_URL"):
        learning.snapshot(engine, NOW_US)
    monkeypatch.setenv("SOURCE_DATABASE_URL", f"sqlite:///{theirs}")
    assert learning.snapshot(engine, NOW_US).height == 1
    with sqlite3.connect(theirs) as connection:
        # older than the import that has been: not asked for again
        connection.execute("insert into t values ('old', '2026-01-01', 1, 'no', '2026-01-02')")
        connection.execute("insert into t values ('new', '2026-01-01', 1, 'no', '2999-01-01')")
    connection.close()
    assert sorted(learning.snapshot(engine, NOW_US)["row_id"]) == ["a", "new"]


def test_the_command_says_what_became_of_the_rows(engine: Engine, tmp_path: Path) -> None:
    use_case(tmp_path)
    (tmp_path / "rows.csv").write_text(HEAD + "a,2026-01-01,1,yes\nb,2026-01-02,many,no\n")
    screen = StringIO()
    counts = import_declared(engine, tmp_path, [], Console(file=screen, width=80))
    assert (counts.inserted, counts.rejected) == (1, 1)
    assert "size is 'many', which is not a number" in " ".join(screen.getvalue().split())


def test_rows_that_come_again_with_other_values_are_told_and_stay(
    engine: Engine, tmp_path: Path
) -> None:
    use_case(tmp_path)
    file = tmp_path / "rows.csv"
    file.write_text(HEAD + "a,2026-01-01,1,yes\nb,2026-01-02,2,no\n")
    import_declared(engine, tmp_path, [], Console(quiet=True))
    file.write_text(HEAD + "a,2026-01-01,1,no\nb,2026-01-02,7,no\n")
    screen = StringIO()
    counts = import_declared(engine, tmp_path, [], Console(file=screen, width=80))
    assert (counts.repeated, counts.differing, counts.labels.changed) == (2, 1, 1)
    assert "For example b: size is 7.0, stored is 2.0." in screen.getvalue()


def test_a_dry_run_shows_rows_as_they_would_be_stored_and_writes_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    use_case(tmp_path)
    (tmp_path / "rows.csv").write_text(HEAD + "a,2026-01-01,1,yes\nb,2026-01-02,many,no\n")
    migrate(engine)
    screen = StringIO()
    status = preview_declared(engine, tmp_path, [], Console(file=screen, width=80))
    said = " ".join(screen.getvalue().split())
    assert status == 0
    assert "2026-01-01 00:00:00" in said
    assert "label │ yes" in said
    assert "row 2 rejected: size is 'many', which is not a number" in said
    assert "Nothing was written" in said
    assert list_changes(engine) == []


def test_a_source_without_a_declared_column_lists_no_import(engine: Engine, tmp_path: Path) -> None:
    use_case(tmp_path)
    (tmp_path / "rows.csv").write_text(HEAD.replace("size", "weight") + "a,2026-01-01,1,yes\n")
    with pytest.raises(DeclarationError, match="no column 'size'"):
        import_declared(engine, tmp_path, [], Console(quiet=True))
    assert list_changes(engine) == []


def test_lines_that_are_no_rows_are_kept_beside_rejected_rows(
    engine: Engine, tmp_path: Path
) -> None:
    use_case(tmp_path)
    (tmp_path / "rows.csv").write_text(HEAD + "a,2026-01-01,1,yes\nb,2026-01-02\n")
    place = tmp_path / "bad.csv"
    counts = import_declared(engine, tmp_path, [], Console(quiet=True), place)
    assert (counts.read, counts.inserted, counts.rejected) == (2, 1, 1)
    assert "2,3,line has 2 fields instead of 4" in place.read_text()
    assert "b,2026-01-02" in place.read_text()


def test_rejected_rows_are_kept_as_they_came_where_that_is_asked_for(
    engine: Engine, tmp_path: Path
) -> None:
    use_case(tmp_path)
    (tmp_path / "rows.csv").write_text(HEAD + "a,2026-01-01,1,yes\nb,2026-01-02,many,no\n")
    place = tmp_path / "bad.csv"
    import_declared(engine, tmp_path, [], Console(quiet=True), place)
    [row] = pl.read_csv(place).to_dicts()
    assert (row["row"], row["size"], row["key"]) == (2, "many", "b")
    assert "which is not a number" in row["reason"]
