"""A file of somebody else's rows: what fits comes in once, what does not comes back with why."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from shared.clock import MICROS_PER_DAY, to_micros
from shared.errors import DataUnavailable
from shared.importing.importer import ImportSummary, import_files
from shared.importing.mapping import Mapping, MappingError

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))
ZONELESS = datetime.fromisoformat("2026-01-05T10:00:00")
COLUMNS = {
    "transaction_id": "id",
    "user_id": "user",
    "event_time": "when",
    "amount": "amount",
    "merchant_id": "shop",
}


def _mapping(more: dict[str, str] | None = None, **sections: Any) -> Mapping:
    return Mapping.model_validate({"columns": {**COLUMNS, **(more or {})}, **sections})


def _row(**others: Any) -> dict[str, Any]:
    row = {"id": "t1", "user": "u1", "when": "2026-01-05T10:15:00Z", "amount": "12.5", "shop": "m1"}
    return {**row, **others}


def _import(
    engine: Engine, folder: Path, rows: list[dict[str, Any]], mapping: Mapping
) -> ImportSummary:
    file = folder / "rows.csv"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(file)
    return _import_file(engine, file, mapping)


def _import_file(engine: Engine, file: Path, mapping: Mapping) -> ImportSummary:
    rejects = file.with_name("rejected.csv")
    return import_files(
        engine, [file], mapping, rejects, NOW_US, progress=lambda _share, _sum: None
    )


def _stored(engine: Engine) -> list[dict[str, Any]]:
    query = text("SELECT * FROM TransactionHistoryLogs ORDER BY transaction_id")
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _rejected(folder: Path) -> list[dict[str, str]]:
    with (folder / "rejected.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_five_columns_are_enough_and_the_rest_takes_its_default(
    engine: Engine, tmp_path: Path
) -> None:
    summary = _import(engine, tmp_path, [_row()], _mapping())
    assert (summary.read, summary.inserted, summary.rejected) == (1, 1, 0)
    [stored] = _stored(engine)
    instant = to_micros(datetime(2026, 1, 5, 10, 15, tzinfo=UTC))
    assert (stored["event_time"], stored["ingested_at"]) == (instant, instant)
    assert (stored["currency"], stored["transaction_type"]) == ("EUR", "purchase")
    assert (stored["label"], stored["label_known_at"], stored["label_source"]) == (None,) * 3
    assert not (tmp_path / "rejected.csv").exists()


def test_importing_again_adds_nothing(engine: Engine, tmp_path: Path) -> None:
    rows = [_row(id="a"), _row(id="b"), _row(id="a", amount="99")]
    first = _import(engine, tmp_path, rows, _mapping())
    assert (first.inserted, first.duplicates, first.rejected) == (2, 1, 0)
    again = _import(engine, tmp_path, rows, _mapping())
    assert (again.inserted, again.duplicates) == (0, 3)
    assert [row["amount"] for row in _stored(engine)] == [12.5, 12.5]


NO_TIME = "event_time is not a date and time (say its format under [time])"
BAD_VALUES = [
    ({"amount": "-1"}, "amount is negative"),
    ({"amount": "NaN"}, "amount is missing"),
    ({"amount": "inf"}, "amount is not finite"),
    ({"amount": "1e300"}, "amount is above 1e+09"),
    ({"amount": "twelve"}, "amount is not a number (decimal and thousands: [numbers])"),
    ({"amount": None}, "amount is missing"),
    ({"user": None}, "user_id is missing"),
    ({"user": "   "}, "user_id is missing"),
    ({"shop": None}, "merchant_id is missing"),
    ({"id": "x" * 129}, "transaction_id is longer than 128 characters"),
    ({"user": "u\x001"}, "user_id holds control characters"),
    ({"when": None}, "event_time is missing"),
    ({"when": "yesterday"}, NO_TIME),
    (
        {"when": "2026-02-30T10:00:00Z"},
        NO_TIME,
    ),
    ({"when": "2026-01-05T10:15:00"}, "event_time names no time zone"),
    ({"when": "2026-06-03T10:15:00Z"}, "event_time is more than a day in the future"),
    ({"when": "1969-12-31T23:59:59Z"}, "event_time is before 2000"),
    ({"bad": "1", "known": "2026-01-04T00:00:00Z"}, "label_known_at is before event_time"),
    ({"lat": "91", "lon": "1"}, "lat is not in -90 to 90"),
    ({"money": "EURO"}, "currency is longer than 3 characters"),
    ({"money": "E1R"}, "currency is not three letters"),
]
ALL = {
    "label": "bad",
    "label_known_at": "known",
    "lat": "lat",
    "lon": "lon",
    "currency": "money",
}
BLANK = dict.fromkeys(ALL.values())


@pytest.mark.parametrize(("values", "reason"), BAD_VALUES)
def test_a_bad_value_comes_back_with_its_row_and_reason(
    engine: Engine, tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    rows = [_row(id="good", **BLANK), {**_row(id="bad", **BLANK), **values}]
    summary = _import(engine, tmp_path, rows, _mapping(ALL))
    assert (summary.read, summary.inserted, summary.rejected) == (2, 1, 1)
    [rejected] = _rejected(tmp_path)
    assert rejected["row"] == "2"
    assert reason in rejected["reason"].split("; ")
    assert summary.reasons[reason] == 1
    assert [row["transaction_id"] for row in _stored(engine)] == ["good"]


def test_a_row_with_two_faults_names_both_once(engine: Engine, tmp_path: Path) -> None:
    _import(engine, tmp_path, [_row(amount="-1", when="soon")], _mapping())
    [rejected] = _rejected(tmp_path)
    assert set(rejected["reason"].split("; ")) == {
        NO_TIME,
        "amount is negative",
    }
    assert rejected["when"] == "soon"


TIMES = [
    ("2026-01-05T10:15:00Z", 10 * 60 + 15),
    ("2026-01-05 10:15:00+02:00", 8 * 60 + 15),
    ("2026-01-05T10:15-0530", 15 * 60 + 45),
    ("2026-01-05T10:15:00.000000+00", 10 * 60 + 15),
    ("2026-01-05T10:15:00", 9 * 60 + 15),
    ("2026-01-05 10:15", 9 * 60 + 15),
    ("2026-01-05", -60),
]


@pytest.mark.parametrize(("written", "minutes"), TIMES)
def test_times_are_read_as_people_write_them(
    engine: Engine, tmp_path: Path, written: str, minutes: int
) -> None:
    mapping = _mapping(time={"zone": "Europe/Paris"})
    assert _import(engine, tmp_path, [_row(when=written)], mapping).inserted == 1
    midnight = to_micros(datetime(2026, 1, 5, tzinfo=UTC))
    assert _stored(engine)[0]["event_time"] == midnight + minutes * 60_000_000


def test_microseconds_survive(engine: Engine, tmp_path: Path) -> None:
    _import(engine, tmp_path, [_row(when="2026-01-05T10:15:00.123457Z")], _mapping())
    assert _stored(engine)[0]["event_time"] % 1_000_000 == 123_457


def test_an_hour_that_the_clock_jumped_over_is_rejected(engine: Engine, tmp_path: Path) -> None:
    mapping = _mapping(time={"zone": "Europe/Paris"})
    summary = _import(engine, tmp_path, [_row(when="2026-03-29 02:30:00")], mapping)
    assert summary.reasons["event_time does not exist there"] == 1


@pytest.mark.parametrize(
    ("unit", "value"), [("s", 1_767_608_100), ("ms", 1_767_608_100_000), ("s", "1767608100.0")]
)
def test_numbers_are_instants_once_the_unit_is_known(
    engine: Engine, tmp_path: Path, unit: str, value: Any
) -> None:
    _import(engine, tmp_path, [_row(when=value)], _mapping(time={"unit": unit}))
    assert _stored(engine)[0]["event_time"] == 1_767_608_100_000_000


def test_unusual_texts_are_read_by_their_format(engine: Engine, tmp_path: Path) -> None:
    rules = {"format": "%d/%m/%Y %H:%M", "zone": "UTC"}
    _import(engine, tmp_path, [_row(when="05/01/2026 10:15")], _mapping(time=rules))
    assert _stored(engine)[0]["event_time"] == to_micros(datetime(2026, 1, 5, 10, 15, tzinfo=UTC))


def test_a_label_becomes_known_after_the_delay_unless_the_file_says_when(
    engine: Engine, tmp_path: Path
) -> None:
    rows = [
        _row(id="a", bad="1", known=None),
        _row(id="b", bad="true", known="2026-01-06T00:00:00Z"),
        _row(id="c", bad=None, known="2026-01-06T00:00:00Z"),
    ]
    mapping = _mapping({"label": "bad", "label_known_at": "known"}, time={"label_delay": "36h"})
    _import(engine, tmp_path, rows, mapping)
    delayed, stated, unknown = _stored(engine)
    assert delayed["label_known_at"] - delayed["event_time"] == 1.5 * MICROS_PER_DAY
    assert stated["label_known_at"] == to_micros(datetime(2026, 1, 6, tzinfo=UTC))
    assert (delayed["label"], stated["label"], unknown["label"]) == (1, 1, None)
    assert unknown["label_known_at"] is None


def test_late_rows_keep_the_instant_they_were_first_seen(engine: Engine, tmp_path: Path) -> None:
    rows = [_row(seen="2026-01-07T00:00:00Z")]
    _import(engine, tmp_path, rows, _mapping({"ingested_at": "seen"}))
    assert _stored(engine)[0]["ingested_at"] == to_micros(datetime(2026, 1, 7, tzinfo=UTC))


def test_a_parquet_file_with_types_of_its_own_comes_in(engine: Engine, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2],
            "user": [7.0, 8.5],
            "when": [ZONELESS, ZONELESS],
            "amount": [1, 2],
            "shop": ["m", "m"],
            "bad": [True, False],
        }
    )
    file = tmp_path / "rows.parquet"
    frame.write_parquet(file)
    mapping = _mapping({"label": "bad"}, time={"zone": "UTC"})
    assert _import_file(engine, file, mapping).inserted == 2
    stored = _stored(engine)
    assert [row["transaction_id"] for row in stored] == ["1", "2"]
    assert [row["user_id"] for row in stored] == ["7", "8.5"]
    assert [row["label"] for row in stored] == [1, 0]


def test_imported_rows_are_in_the_merchant_tiles(engine: Engine, tmp_path: Path) -> None:
    _import(engine, tmp_path, [_row(id="a"), _row(id="b")], _mapping())
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT rows FROM MerchantTiles")) == 2


def test_a_line_that_does_not_split_is_rejected_and_the_rest_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    good = "t1,u1,2026-01-05T10:15:00Z,12.5,m1"
    file.write_text(f"id,user,when,amount,shop\n{good}\nt2,u1\n{good.replace('t1', 't3')}\n")
    summary = _import_file(engine, file, _mapping())
    assert (summary.read, summary.inserted, summary.rejected) == (3, 2, 1)
    [rejected] = _rejected(tmp_path)
    assert rejected["reason"] == "line has 2 fields instead of 5"


def test_a_csv_may_use_another_delimiter(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('id;user;when;amount;shop\n"t;1";u1;2026-01-05T10:15:00Z;1;m1\n')
    assert _import_file(engine, file, _mapping(csv={"delimiter": ";"})).inserted == 1
    assert _stored(engine)[0]["transaction_id"] == "t;1"


def test_a_missing_column_is_named_with_those_that_exist(engine: Engine, tmp_path: Path) -> None:
    mapping = _mapping({"label": "IS_BAD"})
    told = r"no column 'IS_BAD' \(for label\); it has id, user, when, amount, shop"
    with pytest.raises(MappingError, match=told):
        _import(engine, tmp_path, [_row()], mapping)
    assert _stored(engine) == []


@pytest.mark.parametrize(
    ("value", "told"),
    [(ZONELESS, "names no time zone"), (123_456, "holds numbers")],
)
def test_a_column_that_needs_a_rule_stops_the_import_before_it_writes(
    engine: Engine, tmp_path: Path, value: Any, told: str
) -> None:
    file = tmp_path / "rows.parquet"
    pl.DataFrame([_row(when=value)]).write_parquet(file)
    with pytest.raises(MappingError, match=told):
        _import_file(engine, file, _mapping())
    assert _stored(engine) == []


def test_a_column_of_lists_is_no_identifier(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pl.DataFrame([_row(user=["a", "b"])]).write_parquet(file)
    with pytest.raises(MappingError, match="holds large_list"):
        _import_file(engine, file, _mapping())


def test_a_file_that_is_not_there_or_cut_off_is_told(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"cannot read .*gone\.csv"):
        _import_file(engine, tmp_path / "gone.csv", _mapping())
    cut = tmp_path / "cut.parquet"
    pl.DataFrame([_row()]).write_parquet(cut)
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(DataUnavailable, match="neither whole Parquet nor CSV"):
        _import_file(engine, cut, _mapping())
