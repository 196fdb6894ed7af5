"""Imports of a declared use case: what fits is stored once, what does not says why."""

import gzip
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine

from shared.clock import to_micros
from shared.rows.declaration import Declaration, DeclarationError
from shared.rows.frames import read_rows
from shared.rows.importer import ImportCounts, import_rows
from shared.rows.sources import QuerySource, opened_files
from shared.rows.table_changes import make_tables
from shared.rows.tables import RowTables, tables_of
from shared.tables.engine import connect
from tests.support.declared_rows import HEADER, NOW_US, TOML, declaration

GOOD = (
    "c1,2026-01-05,20.5,month,card,yes,2026-01-01T10:00:00Z,no",
    "c2,2026-01-06,30,year,,0,,yes",
    "c3,2026-05-30,40,year,cash,True,,",
)


def write_csv(folder: Path, *rows: str, name: str = "customers.csv", head: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join((head, *rows)) + "\n")
    return path


def take(
    engine: Engine, declared: Declaration, paths: Sequence[Path]
) -> tuple[RowTables, ImportCounts]:
    tables = tables_of(declared.row_schema)
    make_tables(engine, tables)
    with opened_files(paths, declared.csv) as sources:
        return tables, import_rows(engine, tables, declared, sources, NOW_US)


def test_rows_are_stored_as_they_are_meant(engine: Engine, tmp_path: Path) -> None:
    tables, counts = take(engine, declaration(), [write_csv(tmp_path, *GOOD)])
    assert (counts.read, counts.inserted, counts.rejected) == (3, 3, 0)
    rows = read_rows(engine, tables, NOW_US)
    assert rows["entity"].to_list() == ["c1", "c2", "c3"]
    assert rows["fibre"].to_list() == [True, False, True]
    assert rows["payment"].to_list() == ["card", None, "cash"]
    assert rows["label"].to_list() == [0.0, 1.0, None]
    call = to_micros(datetime(2026, 1, 1, 10, tzinfo=UTC))
    assert rows["last_call"].to_list() == [call, None, None]
    day_us = 86_400_000_000
    assert rows["label_known_at"][0] == rows["event_time"][0] + 10 * day_us


def test_an_import_can_be_repeated_and_packed_files_are_the_same_rows(
    engine: Engine, tmp_path: Path
) -> None:
    plain = write_csv(tmp_path, *GOOD)
    take(engine, declaration(), [plain])
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "customers.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    tables, again = take(engine, declaration(), [folder])
    assert (again.inserted, again.repeated) == (0, 3)
    assert read_rows(engine, tables, NOW_US).height == 3


def test_parquet_gives_the_same_values_as_csv(engine: Engine, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "customer": ["c1", "c2"],
            "as_of": [datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)],
            "charge": [20.5, 30.0],
            "contract": ["month", "year"],
            "payment": ["card", None],
            "fibre": [True, False],
            "Last Call": [datetime(2026, 1, 1, 10, tzinfo=UTC), None],
            "churned": ["no", "yes"],
        }
    )
    frame.write_parquet(tmp_path / "customers.parquet")
    tables, _ = take(engine, declaration(), [tmp_path / "customers.parquet"])
    from_parquet = read_rows(engine, tables, NOW_US).drop("row_id")
    second = declaration(TOML.replace('name = "churn"', 'name = "other"'))
    tables, _ = take(engine, second, [write_csv(tmp_path, *GOOD[:2])])
    assert from_parquet.equals(read_rows(engine, tables, NOW_US).drop("row_id"))


def test_rows_that_are_alike_are_all_kept_and_not_multiplied(
    engine: Engine, tmp_path: Path
) -> None:
    path = write_csv(tmp_path, GOOD[0], GOOD[0], GOOD[0])
    take(engine, declaration(), [path])
    tables, again = take(engine, declaration(), [path])
    assert again.repeated == 3
    assert read_rows(engine, tables, NOW_US).height == 3


def test_a_label_that_arrives_or_changes_is_taken_from_a_second_import(
    engine: Engine, tmp_path: Path
) -> None:
    take(engine, declaration(), [write_csv(tmp_path, *GOOD)])
    later = [row.removesuffix("no") + "yes" if row.endswith("no") else row for row in GOOD]
    tables, counts = take(engine, declaration(), [write_csv(tmp_path, *later)])
    assert (counts.inserted, counts.labels.changed) == (0, 1)
    assert read_rows(engine, tables, NOW_US)["label"].to_list() == [1.0, 1.0, None]


BAD = {
    "a number as text": ("c,2026-01-05,abc,month,,1,,no", "charge is 'abc', which is not a number"),
    "a number that is too large": (
        "c,2026-01-05,1e308,month,,1,,no",
        "charge is '1e308', outside of 0 to 1000",
    ),
    "an infinite number": ("c,2026-01-05,inf,month,,1,,no", "charge is 'inf', outside of"),
    "a missing number": ("c,2026-01-05,NaN,month,,1,,no", "charge is missing (required = false"),
    "an unseen word": (
        "c,2026-01-05,1,weekly,,1,,no",
        "contract is 'weekly', not one of its values (month, year): add it to them",
    ),
    "a flag that is none": (
        "c,2026-01-05,1,month,,maybe,,no",
        "fibre is 'maybe', which is neither",
    ),
    "a time that does not parse": (
        "c,yesterday,1,month,,1,,no",
        "as_of is not a date and time (say its format under [time])",
    ),
    "no time": ("c,,1,month,,1,,no", "as_of, the time of the row, is missing"),
    "a time in the future": ("c,2031-01-05,1,month,,1,,no", "as_of is '2031-01-05', in the future"),
    "a word that no request may hold": (
        "c,2026-01-05,1,month," + "w" * 257 + ",1,,no",
        "wwww'..., longer than 256 characters: shorten it",
    ),
    "a word with a zero byte": (
        "c,2026-01-05,1,month,ca\0rd,1,,no",
        "payment holds control characters",
    ),
    "an entity with control characters": (
        "c\x1b1,2026-01-05,1,month,,1,,no",
        "customer holds control characters",
    ),
    "a label that is none": (
        "c,2026-01-05,1,month,,1,,perhaps",
        "churned is 'perhaps', not one of the classes (no, yes)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_does_not_fit_names_the_column_and_the_remedy(tmp_path: Path, name: str) -> None:
    row, expected = BAD[name]
    engine = sqlite_engine(tmp_path)
    _tables, counts = take(engine, declaration(), [write_csv(tmp_path, GOOD[0], row)])
    assert (counts.inserted, counts.rejected) == (1, 1)
    [example] = counts.examples.values()
    assert expected in example
    assert "row 2, line 3" in example
    engine.dispose()


REGRESSION = declaration(
    TOML.replace('"binary"', '"regression"')
    .replace('positive = "yes"\n', "")
    .replace('negative = "no"\n', "")
)


@pytest.mark.parametrize("label", ["1e31", "-1e308", "inf", "-Infinity"])
def test_a_label_that_no_metric_can_square_is_rejected_with_its_bounds(
    engine: Engine, tmp_path: Path, label: str
) -> None:
    rows = [GOOD[0].removesuffix("no") + value for value in ("12.5", label, "", "NaN")]
    tables, counts = take(engine, REGRESSION, [write_csv(tmp_path, *rows)])
    assert read_rows(engine, tables, NOW_US)["label"].to_list() == [12.5, None, None]
    [example] = counts.examples.values()
    assert f"churned is '{label}', outside of -1e+30 to 1e+30: leave the label empty" in example
    assert "row 2, line 3" in example


def test_lines_that_are_no_rows_are_counted_and_told_with_their_line(
    engine: Engine, tmp_path: Path
) -> None:
    lines = (GOOD[0], GOOD[1] + ",more", "c3,2026-01-05", 'c4,"' + GOOD[2].removeprefix("c3,"))
    _tables, counts = take(engine, declaration(), [write_csv(tmp_path, *lines)])
    assert (counts.read, counts.inserted, counts.rejected) == (4, 1, 3)
    assert sorted(counts.examples.values()) == [
        "line has 2 fields instead of 8 (row 3, line 4)",
        "line has 9 fields instead of 8 (row 2, line 3)",
        "line holds a quote that opens and never closes (row 4, line 5)",
    ]


def test_a_column_that_vanished_from_the_source_is_named_before_anything_is_written(
    tmp_path: Path,
) -> None:
    engine = sqlite_engine(tmp_path)
    path = write_csv(tmp_path, "c1,2026-01-05", head="customer,as_of")
    with pytest.raises(DeclarationError, match=r"no column 'charge' \(columns\.charge\).*as from"):
        take(engine, declaration(), [path])
    engine.dispose()


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    path = write_csv(tmp_path, GOOD[0] + ",1", head=HEADER + ",charge")
    with pytest.raises(DeclarationError, match="'charge' is there 2 times: rename"):
        take(engine, declaration(), [path])
    engine.dispose()


def test_a_query_is_read_again_from_where_it_stood(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    other = tmp_path / "theirs.db"
    with sqlite3.connect(other) as theirs:
        theirs.execute(
            "create table t (customer, as_of, charge, contract, payment, fibre, "
            '"Last Call", churned, updated_at)'
        )
        theirs.executemany(
            "insert into t values (?, ?, 1.5, 'year', null, 1, null, 'no', ?)",
            [("c1", "2026-01-05", "2026-01-06"), ("c2", "2026-02-05", "2026-03-06")],
        )
    theirs.close()
    declared = declaration()
    tables = tables_of(declared.row_schema)
    make_tables(engine, tables)
    sql = "select * from t where updated_at > :since"
    found = []
    for since in (None, to_micros(datetime(2026, 2, 1, tzinfo=UTC))):
        source = QuerySource(f"sqlite:///{other}", sql, since)
        found.append(import_rows(engine, tables, declared, [source], NOW_US))
    assert [(one.read, one.inserted) for one in found] == [(2, 2), (1, 0)]
    engine.dispose()


def sqlite_engine(folder: Path) -> Engine:
    return connect(f"sqlite:///{folder}/understudy.db")
