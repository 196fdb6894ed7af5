"""A person's own files: packed, in folders, in other encodings, with types of their own."""

import gzip
import os
import tomllib
import uuid
import zipfile
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from shared.errors import DataUnavailable
from shared.importing.importer import ImportSummary, import_files, preview
from shared.importing.mapping import Mapping, MappingError, read_mapping
from shared.importing.propose import propose
from shared.tasks.labels import LabelWords
from usecases.fraud.exports import LABEL_WORDS

NOW_US = 1_780_000_000_000_000
COLUMNS = {"transaction_id": "id", "user_id": "user", "event_time": "when", "amount": "sum",
           "merchant_id": "shop"}  # fmt: skip
HEADER = "id,user,when,sum,shop\n"


def _mapping(more: dict[str, Any] | None = None, **sections: Any) -> Mapping:
    columns = {"columns": {**COLUMNS, **(more or {})}}
    return Mapping.model_validate({**columns, "time": {"zone": "UTC"}, **sections})


def _import(engine: Engine, paths: list[Path], mapping: Mapping) -> ImportSummary:
    rejects = paths[0].parent / "out.csv"
    return import_files(engine, paths, mapping, rejects, NOW_US, progress=lambda *_: None)


def _stored(engine: Engine, *columns: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {', '.join(columns)} FROM TransactionHistoryLogs ORDER BY transaction_id"
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _row(name: str, **others: str) -> str:
    row = {"id": name, "user": "u", "when": "2026-01-05 10:15", "sum": "1", "shop": "m", **others}
    return ",".join(row.values()) + "\n"


def test_folders_packed_files_and_several_at_once(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "a.csv").write_text(HEADER + _row("a"))
    with gzip.open(folder / "b.csv.gz", "wt") as file:
        file.write(HEADER + _row("b"))
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.writestr("../../c.csv", HEADER + _row("c"))
    (folder / "a.csv.rejected.csv").write_text("row,line,reason\n")
    alone = tmp_path / "d.csv"
    alone.write_text(HEADER + _row("d"))
    assert _import(engine, [alone, folder], _mapping()).inserted == 4
    assert _stored(engine, "transaction_id") == [("a",), ("b",), ("c",), ("d",)]


def test_a_folder_without_tables_and_a_broken_archive_are_told(
    engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(MappingError, match="holds no table"):
        _import(engine, [tmp_path], _mapping())
    broken = tmp_path / "x.csv.gz"
    broken.write_bytes(gzip.compress(b"id,user\n" * 1000)[:-20])
    with pytest.raises(DataUnavailable, match=r"x\.csv\.gz is not a whole gzip file"):
        _import(engine, [broken], _mapping())


def _middle_flipped(packed: bytes) -> bytes:
    at = len(packed) // 2
    return packed[:at] + bytes(byte ^ 0xFF for byte in packed[at : at + 20]) + packed[at + 20 :]


def _zipped(content: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", content)
    return file.getvalue()


_ROWS = b"".join(b"%d,user\n" % number for number in range(2_000))
DAMAGED = {
    "a gzip file with damaged bytes": ("x.csv.gz", _middle_flipped(gzip.compress(_ROWS))),
    "a gzip file with another check sum": ("x.csv.gz", gzip.compress(_ROWS)[:-8] + b"12345678"),
    "a text that is called .gz": ("x.csv.gz", _ROWS),
    "an archive with damaged bytes": ("x.zip", _middle_flipped(_zipped(_ROWS))),
    "an archive that is cut off": ("x.zip", _zipped(_ROWS)[:-30]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_archive_is_named_and_nothing_of_it_stays(
    engine: Engine, tmp_path: Path, name: str
) -> None:
    file, content = DAMAGED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataUnavailable, match=rf"{file} is not a whole .*copy it again"):
        _import(engine, [tmp_path / file], _mapping())
    names = {path.name for path in tmp_path.iterdir()}
    assert {name for name in names if not name.startswith("understudy.db")} == {file}


def test_a_pipe_is_refused_instead_of_waited_for(engine: Engine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(MappingError, match=r"is a pipe or a device.*save it as a file first"):
        _import(engine, [tmp_path / "rows.csv"], _mapping())


def test_utf_16_without_a_mark_is_named_and_can_be_stated(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes((HEADER + _row("a")).encode("utf-16-le"))
    with pytest.raises(MappingError, match="UTF-16 without a byte order mark"):
        _import(engine, [file], _mapping())
    with pytest.raises(MappingError, match=r'write e\.g\. encoding = "utf-16-le"'):
        _import(engine, [file], _mapping(csv={"encoding": "utf-16"}))
    assert _import(engine, [file], _mapping(csv={"encoding": "utf-16-le"})).inserted == 1


def test_another_encoding_is_named_with_the_line_and_can_be_stated(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes((HEADER + _row("a", shop="Caf\u00e9")).encode("cp1252"))
    with pytest.raises(MappingError, match=r'line 2 holds the byte 0xe9.*encoding = "cp1252"'):
        _import(engine, [file], _mapping())
    assert _import(engine, [file], _mapping(csv={"encoding": "cp1252"})).inserted == 1
    assert _stored(engine, "merchant_id") == [("Caf\u00e9",)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_enough(engine: Engine, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes((HEADER + _row("a")).encode(encoding))
    assert _import(engine, [file], _mapping()).inserted == 1


def test_an_id_is_the_same_text_whatever_it_came_in(engine: Engine, tmp_path: Path) -> None:
    spellings = ['"=""00123"""', "'00123'", " 00123 ", "\u00a000123"]
    file = tmp_path / "a.csv"
    file.write_text(HEADER + "".join(_row(f"{i}x", user=s) for i, s in enumerate(spellings)))
    _import(engine, [file], _mapping())
    assert _stored(engine, "user_id") == [("00123",)] * 4


def test_whole_numbers_with_a_point_are_ids_only_where_the_column_is_numeric(
    engine: Engine, tmp_path: Path
) -> None:
    numeric, mixed = tmp_path / "numeric.csv", tmp_path / "mixed.csv"
    numeric.write_text(HEADER + _row("1.0", user="7.0") + _row("2.0", user="8"))
    mixed.write_text(HEADER + _row("v1.0", user="7.0") + _row("v2.0", user="x"))
    _import(engine, [numeric], _mapping())
    _import(engine, [mixed], _mapping())
    assert _stored(engine, "transaction_id", "user_id") == [
        ("1", "7"), ("2", "8"), ("v1.0", "7.0"), ("v2.0", "x"),
    ]  # fmt: skip


def test_na_and_none_are_words_unless_the_mapping_says_otherwise(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEADER.replace("\n", ",land\n") + _row("a", land="NA") + _row("b", land="None"))
    _import(engine, [file], _mapping({"country": "land"}))
    assert _stored(engine, "country") == [("NA",), ("None",)]
    nulls = _mapping({"country": "land"}, csv={"nulls": ["NA", "None"]})
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM TransactionHistoryLogs"))
    _import(engine, [file], nulls)
    assert _stored(engine, "country") == [(None,), (None,)]


def test_one_unicode_form_and_joiners_are_text(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    file.write_text(HEADER + _row("a", shop="Cafe\u0301") + _row("b", shop=family))
    assert _import(engine, [file], _mapping()).inserted == 2
    assert _stored(engine, "merchant_id") == [("Caf\u00e9",), (family,)]


def test_a_date_and_a_time_may_be_apart(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,user,day,clock,sum,shop\na,u,05.01.2026,10:15:30,1,m\n")
    _import(engine, [file], _mapping({"event_time": ["day", "clock"]}))
    assert _stored(engine, "event_time") == [(1_767_608_130_000_000,)]


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000, 1_000_000_000])
def test_epoch_units_are_told_apart_by_the_century(
    engine: Engine, tmp_path: Path, scale: int
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEADER + _row("a", when=str(1_767_608_100 * scale)))
    summary = _import(engine, [file], _mapping())
    assert _stored(engine, "event_time") == [(1_767_608_100_000_000,)]
    assert "numbers are read as" in summary.notes[0]


def test_excels_days_and_another_origin_have_to_be_stated(engine: Engine, tmp_path: Path) -> None:
    excel, counted = tmp_path / "excel.csv", tmp_path / "counted.csv"
    excel.write_text(HEADER + _row("a", when="46027.5"))
    counted.write_text(HEADER + _row("b", when="86400"))
    with pytest.raises(MappingError, match='unit = "excel"'):
        _import(engine, [excel], _mapping())
    _import(engine, [excel], _mapping(time={"zone": "UTC", "unit": "excel"}))
    rules = {"unit": "s", "origin": datetime(2017, 11, 30).date()}  # noqa: DTZ001
    _import(engine, [counted], _mapping(time=rules))
    assert _stored(engine, "event_time") == [(1_767_614_400_000_000,), (1_512_086_400_000_000,)]


def test_days_and_months_are_asked_for_where_no_day_is_above_twelve(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEADER + _row("a", when="05/01/2026 10:15"))
    with pytest.raises(MappingError, match="day_first = true or false"):
        _import(engine, [file], _mapping())
    file.write_text(HEADER + _row("a", when="05/01/2026 10:15") + _row("b", when="13/01/2026"))
    assert _import(engine, [file], _mapping()).inserted == 2


def test_labels_and_values_by_name_and_unknown_words_keep_their_row(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    cells = [("CB", "01"), ("ok", "05"), ("maybe", "x"), ("pending", "")]
    rows = "".join(_row(f"{i}x", bad=bad, way=way) for i, (bad, way) in enumerate(cells))
    file.write_text(HEADER.replace("\n", ",bad,way\n") + rows)
    summary = _import(
        engine,
        [file],
        _mapping(
            {"label": "bad", "channel": "way"},
            labels={"positive": ["cb"], "negative": ["ok"], "unknown": ["pending"]},
            values={"channel": {"01": "online", "05": "pos"}},
        ),
    )
    assert _stored(engine, "label", "channel") == [
        (1, "online"), (0, "pos"), (None, "x"), (None, None),
    ]  # fmt: skip
    assert sum(summary.losses.values()) == 1


def test_every_type_of_parquet_that_holds_one_value_is_unwrapped(
    engine: Engine, tmp_path: Path
) -> None:
    name = uuid.UUID(int=7)
    table = pa.table(
        {
            "id": pa.array([name.bytes], pa.binary(16)),
            "user": pa.array([Decimal(123)], pa.decimal128(20, 0)),
            "when": pa.array([datetime(2026, 1, 5, 10, 15)], pa.timestamp("ns")),  # noqa: DTZ001
            "sum": pa.array([Decimal("12.50")], pa.decimal128(10, 2)),
            "shop": pa.array(["m"]).dictionary_encode(),
            "nothing": pa.array([None], pa.null()),
            "raw": pa.array([b"pos"], pa.binary()),
        }
    )
    file = tmp_path / "a.parquet"
    pq.write_table(table, file)
    mapping = _mapping({"country": "nothing", "channel": "raw", "lat": "nothing"})
    assert _import(engine, [file], mapping).inserted == 1
    columns = ("transaction_id", "user_id", "amount", "merchant_id", "channel")
    assert _stored(engine, *columns) == [(str(name), "123", 12.5, "m", "pos")]


def test_a_sentinel_far_ahead_in_int96_costs_its_row_only(engine: Engine, tmp_path: Path) -> None:
    moments = [datetime(2026, 1, 5), datetime(9999, 12, 31)]  # noqa: DTZ001
    table = pa.table({"id": ["a", "b"], "user": ["u", "u"], "sum": [1.0, 1.0], "shop": ["m", "m"],
                      "when": pa.array(moments, pa.timestamp("us"))})  # fmt: skip
    file = tmp_path / "a.parquet"
    pq.write_table(table, file, use_deprecated_int96_timestamps=True)
    summary = _import(engine, [file], _mapping())
    assert (summary.inserted, summary.rejected) == (1, 1)


def test_another_delimiter_is_hinted_at(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEADER.replace(",", ";") + _row("a").replace(",", ";"))
    with pytest.raises(MappingError, match='delimiter = ";" under'):
        _import(engine, [file], _mapping())


@pytest.mark.parametrize("above", ["Export of a bank\n", "Export\ncreated 2026-11-27\n\n"])
def test_a_table_below_a_title_is_told_with_its_line(
    engine: Engine, tmp_path: Path, above: str
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(above + HEADER + _row("a") + _row("b"))
    line = above.count("\n") + 1
    with pytest.raises(MappingError, match=f"line 1 has 1 of the 5 fields.*begin on line {line}:"):
        _import(engine, [file], _mapping())
    assert _stored(engine, "transaction_id") == []


@pytest.mark.parametrize(
    ("begin", "kind"),
    [('{"id": "a"}\n', "JSON"), ('[{"id": "a"}]\n', "JSON"), ("<html><table>", "HTML or XML")],
)
def test_a_file_of_another_kind_is_told_by_its_kind(
    engine: Engine, tmp_path: Path, begin: str, kind: str
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(begin)
    with pytest.raises(MappingError, match=f"is not a CSV file but {kind}: save"):
        _import(engine, [file], _mapping())


def test_a_proposal_can_be_imported_as_it_is(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "Transaction ID;Customer;Booked At;Amount;Merchant;Is Bad;Note\n"
        "t1;c1;05.01.2026 10:15;12,50;m1;no;x\nt2;c1;15.01.2026 10:15;1.299,99;m1;yes;y\n"
    )
    proposal, guesses, missing = propose(file, LabelWords())
    target = tmp_path / "m.toml"
    target.write_text(proposal)
    assert missing == []
    assert {guess.ours for guess in guesses} >= {"transaction_id", "amount", "label"}
    assert _import(engine, [file], read_mapping(target)).inserted == 2
    assert _stored(engine, "amount", "label") == [(12.5, 0), (1299.99, 1)]


def test_a_name_over_two_lines_makes_a_proposal_that_can_be_read(
    tmp_path: Path,
) -> None:
    file, target = tmp_path / "a.csv", tmp_path / "m.toml"
    head = HEADER.replace("\n", "").split(",")
    names = [*head[:-1], '"Merchant\nid"', '"a ""b""\t\x7f\nc"']
    first, second = (_row(name).strip() + ",x\n" for name in "ab")
    file.write_text(",".join(names) + "\n" + first + second)
    proposal, guesses, _missing = propose(file, LabelWords())
    target.write_text(proposal)
    assert ("merchant_id", "Merchant\nid") in {(one.ours, one.theirs) for one in guesses}
    tomllib.loads(proposal)


@pytest.mark.parametrize(
    ("head", "rows", "expected"),
    [
        (
            "Buchungs-Nr.;Kundennummer;Buchungszeit;Betrag;H\u00e4ndler;Pr\u00fcfergebnis",
            ("a1;k1;05.01.2026 10:15:30;1.299,99;h1;in Ordnung",
             "a2;k1;15.01.2026 10:15:30;7,50;h1;Betrug",
             "a3;k2;16.01.2026 10:15:30;7,50;h1;in Ordnung"),
            {"merchant_id": "H\u00e4ndler", "label": "Pr\u00fcfergebnis"},
        ),
        (
            "no;cust;when_it_was;amt;mrch;outcome",
            ("11;1;1767608130000;5.0;7;N", "12;1;1767608131000;5.0;7;Y",
             "13;2;1767608132000;5.0;7;N"),
            {"transaction_id": "no", "event_time": "when_it_was", "label": "outcome"},
        ),
    ],
)  # fmt: skip
def test_names_of_other_languages_and_values_are_guessed_by_and_can_be_imported(
    engine: Engine, tmp_path: Path, head: str, rows: tuple[str, ...], expected: dict[str, str]
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("\n".join((head, *rows, "")).encode("cp1252"))
    proposal, guesses, missing = propose(file, LABEL_WORDS)
    assert missing == []
    assert not [guess.why for guess in guesses if "BUT" in guess.why]
    assert {guess.ours: guess.theirs for guess in guesses}.items() >= expected.items()
    target = tmp_path / "m.toml"
    target.write_text(proposal)
    assert _import(engine, [file], read_mapping(target).knowing(LABEL_WORDS)).inserted == 3
    assert sorted(label for (label,) in _stored(engine, "label")) == [0, 0, 1]


def test_a_guess_by_values_is_not_made_where_two_columns_look_alike(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,a,b\n1,y,n\n2,n,n\n3,n,y\n")
    _, guesses, _ = propose(file, LABEL_WORDS)
    assert "label" not in {guess.ours for guess in guesses}


def test_a_preview_writes_nothing(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEADER + "".join(_row(f"t{i}") for i in range(30)))
    found, _notes = preview([file], _mapping(), NOW_US)
    assert found.accepted.height == 10
    assert _stored(engine, "transaction_id") == []
