"""Importing again mends: labels arrive and change, other differences are told, all of it undone."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.importing.importer import ImportSummary, import_files
from shared.importing.mapping import Mapping
from shared.tables.data_changes import list_changes, undo
from shared.tables.tiles import rebuild_tiles
from shared.tables.writer import write_decisions

NOW_US = 1_780_000_000_000_000
COLUMNS = {"transaction_id": "id", "user_id": "user", "event_time": "when", "amount": "sum",
           "merchant_id": "shop", "label": "bad", "label_known_at": "known"}  # fmt: skip
SWAPPED = COLUMNS | {"user_id": "shop", "merchant_id": "user"}
HEADER = "id,user,when,sum,shop,bad,known\n"


def _file(folder: Path, *rows: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def _row(name: str, bad: str = "", known: str = "", **others: str) -> str:
    cells = {"user": "u1", "when": "2026-01-05T10:15:00Z", "sum": "1.5", "shop": "m1", **others}
    return ",".join([name, *cells.values(), bad, known])


def _import(
    engine: Engine, path: Path, columns: dict[str, str] | None = None, *, update: bool = False
) -> ImportSummary:
    mapping = Mapping.model_validate({"columns": columns or COLUMNS, "time": {"zone": "UTC"}})
    rejects = path.with_name("out.csv")
    return import_files(
        engine, [path], mapping, rejects, NOW_US, progress=lambda *_: None, update=update
    )


def _stored(engine: Engine, columns: str) -> list[Any]:
    query = f"SELECT {columns} FROM TransactionHistoryLogs ORDER BY transaction_id"
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _tiles(engine: Engine) -> list[Any]:
    query = "SELECT merchant_id, event_hour, known_hour, kind, rows, positives FROM MerchantTiles"
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(text(query)))


def _tiles_made_anew(engine: Engine) -> list[Any]:
    with engine.begin() as connection:
        rebuild_tiles(connection)
    return _tiles(engine)


KNOWN = "2026-01-12T00:00:00Z"


def test_labels_that_arrive_later_are_stored(engine: Engine, tmp_path: Path) -> None:
    _import(engine, _file(tmp_path, _row("a"), _row("b")))
    summary = _import(engine, _file(tmp_path, _row("a", "1", KNOWN), _row("b", "0", KNOWN)))
    assert (summary.inserted, summary.duplicates, summary.mended.labels_new) == (0, 2, 2)
    assert _stored(engine, "label") == [(1,), (0,)]
    assert _tiles(engine) == _tiles_made_anew(engine)


def test_labels_that_change_replace_the_stored_ones_which_are_kept(
    engine: Engine, tmp_path: Path
) -> None:
    _import(engine, _file(tmp_path, _row("a", "0", KNOWN)))
    summary = _import(engine, _file(tmp_path, _row("a", "1", KNOWN)))
    assert (summary.mended.labels_new, summary.mended.labels_changed) == (0, 1)
    assert _stored(engine, "label") == [(1,)]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT label FROM LabelChanges")) == 0


def test_an_older_label_does_not_replace_a_newer_one(engine: Engine, tmp_path: Path) -> None:
    _import(engine, _file(tmp_path, _row("a", "1", "2026-02-01T00:00:00Z")))
    summary = _import(engine, _file(tmp_path, _row("a", "0", KNOWN)))
    assert summary.mended.labels_older == 1
    assert _stored(engine, "label") == [(1,)]


def test_a_file_without_labels_takes_none_away(engine: Engine, tmp_path: Path) -> None:
    _import(engine, _file(tmp_path, _row("a", "1", KNOWN)))
    _import(engine, _file(tmp_path, _row("a")))
    assert _stored(engine, "label") == [(1,)]


def test_other_differences_are_told_with_examples_and_applied_on_demand(
    engine: Engine, tmp_path: Path
) -> None:
    rows = [_row(f"t{i}") for i in range(5)]
    _import(engine, _file(tmp_path, *rows), SWAPPED)
    told = _import(engine, _file(tmp_path, *rows))
    assert (told.mended.differing, told.mended.updated, len(told.mended.examples)) == (5, 0, 3)
    assert "user_id is 'm1' and would be 'u1'" in told.mended.examples[0]
    assert _stored(engine, "user_id")[0] == ("m1",)
    done = _import(engine, _file(tmp_path, *rows), update=True)
    assert done.mended.updated == 5
    assert _stored(engine, "user_id, merchant_id")[0] == ("u1", "m1")
    assert _tiles(engine) == _tiles_made_anew(engine)


def test_the_same_file_again_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    path = _file(tmp_path, _row("a", "1", KNOWN), _row("b", sum="2.5"))
    _import(engine, path)
    again = _import(engine, path, update=True)
    mended = again.mended
    assert (mended.labels_new, mended.labels_changed, mended.differing) == (0, 0, 0)


def test_an_id_twice_in_one_file_is_told_where_the_rows_differ(
    engine: Engine, tmp_path: Path
) -> None:
    path = _file(tmp_path, _row("a"), _row("a", sum="9"))
    summary = _import(engine, path)
    assert (summary.inserted, summary.duplicates, summary.mended.differing) == (1, 1, 1)
    assert summary.mended.examples == ["a: amount is 1.5 and would be 9.0"]
    assert _stored(engine, "amount") == [(1.5,)]


def test_an_import_is_undone_by_its_number(engine: Engine, tmp_path: Path) -> None:
    _import(engine, _file(tmp_path, _row("a", "0", KNOWN), _row("b")))
    before, tiles = _stored(engine, "transaction_id, label, amount, label_sent_by"), _tiles(engine)
    more = [_row("a", "1", KNOWN, sum="7"), _row("b", "1", KNOWN), _row("c")]
    second = _import(engine, _file(tmp_path, *more), update=True)
    counts = undo(engine, second.number, NOW_US, "wrong file")
    assert counts == {"removed": 1, "restored": 1, "relabelled": 2}
    assert _stored(engine, "transaction_id, label, amount, label_sent_by") == before
    assert _tiles(engine) == tiles == _tiles_made_anew(engine)
    undone, import_ = list_changes(engine)[:2]
    assert (undone.kind, import_.undone_by) == ("undo", undone.number)


def test_a_change_is_undone_once(engine: Engine, tmp_path: Path) -> None:
    number = _import(engine, _file(tmp_path, _row("a"))).number
    undo(engine, number, NOW_US, None)
    with pytest.raises(LookupError, match="undone already"):
        undo(engine, number, NOW_US, None)
    with pytest.raises(LookupError, match="there is no change 99"):
        undo(engine, 99, NOW_US, None)


def test_scored_copies_of_imported_rows_keep_the_tiles_right(
    engine: Engine, tmp_path: Path
) -> None:
    scored = {
        "transaction_id": "a", "user_id": "u1", "event_time": 1_767_608_100_000_000,
        "ingested_at": 1_767_608_100_000_000, "amount": 1.5, "currency": "EUR",
        "merchant_id": "m1", "transaction_type": "purchase", "model_version": "1.0.0",
    }  # fmt: skip
    with engine.begin() as connection:
        write_decisions(connection, [scored])
    first = _import(engine, _file(tmp_path, _row("a", "1", KNOWN), _row("b")))
    assert _tiles(engine) == _tiles_made_anew(engine)
    undo(engine, first.number, NOW_US, None)
    assert _tiles(engine) == _tiles_made_anew(engine)
