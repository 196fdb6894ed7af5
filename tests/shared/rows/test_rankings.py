"""Rankings: items by a pattern, labels in columns of their own, or by /feedback only."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from shared.clock import to_micros
from shared.importing.files import PLACES, Piece
from shared.rows.convert import ConvertedRows, RowConverter, needed_sources
from shared.rows.declaration import Declaration, DeclarationError, parse_declaration

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))
TOML = """
[use_case]
name = "taste"
task = "ranking"
entity = "guest"
time = "at"
[label]
items = "rating_*"
columns = "next_*"
delay = "7d"
[columns]
age = "number"
rating_tea = { kind = "number", required = false }
rating_mate = { kind = "number", required = false }
"""
ROWS = {
    "guest": ["a", "b", "c", "d"],
    "at": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"],
    "age": ["30", "40", "50", "60"],
    "rating_tea": ["5", None, "1", "2"],
    "rating_mate": ["1", "2", None, "2"],
    "next_mate": ["3.5", None, "4", "much"],
    "next_tea": ["4", None, None, "1"],
}


def declared(old: str = "", new: str = "") -> Declaration:
    assert old in TOML
    return parse_declaration(TOML.replace(old, new) if old else TOML)


def converted(declaration: Declaration, frame: pl.DataFrame) -> ConvertedRows:
    columns = needed_sources(declaration, frame.columns, "rows.csv")
    places = pl.Series(PLACES[0], range(1, frame.height + 1), pl.Int64)
    piece = Piece(frame.select(columns), places, places, 1.0)
    return RowConverter(declaration, NOW_US).convert(piece)


def labels_of(rows: ConvertedRows) -> list[list[float] | None]:
    return [
        None if raw is None else np.frombuffer(raw, "<f4").tolist()
        for raw in rows.accepted["label"]
    ]  # fmt: skip


def test_items_are_called_by_what_the_star_stands_for() -> None:
    schema = declared().row_schema
    assert schema.task.names == ("tea", "mate")
    assert schema.roles.items == ("rating_tea", "rating_mate")
    assert schema.roles.item_labels == ("next_tea", "next_mate")


def test_what_was_rated_next_is_the_label_in_the_order_of_the_items() -> None:
    rows = converted(declared(), pl.DataFrame(ROWS))
    first, second, third = labels_of(rows)
    assert first == [4.0, 3.5]
    assert second is None
    assert third is not None
    assert np.isnan(third[0])
    assert third[1] == 4.0
    assert rows.accepted["label_known_at"].is_null().to_list() == [False, True, False]
    assert "next_mate is 'much', which is not a number" in rows.rejected["reason"][0]


def test_labels_may_have_any_names_in_the_order_of_the_items() -> None:
    frame = pl.DataFrame(ROWS).rename({"next_tea": "Tee danach", "next_mate": "then"})
    rows = converted(declared('"next_*"', '["Tee danach", "then"]'), frame)
    assert labels_of(rows)[0] == [4.0, 3.5]


def test_without_columns_of_labels_rows_are_imported_unlabelled() -> None:
    rows = converted(declared('columns = "next_*"\n'), pl.DataFrame(ROWS))
    assert labels_of(rows) == [None] * 4


def test_a_row_whose_labels_arrive_later_is_the_same_row() -> None:
    frame = pl.DataFrame(ROWS).head(3)
    before = converted(declared(), frame.drop("next_mate", "next_tea"))
    after = converted(declared(), frame)
    assert before.accepted["row_id"].to_list() == after.accepted["row_id"].to_list()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"next_*"', '"rating_*"', "the label would leak into the features"),
        ('"next_*"', '["one"]', "not one column for each of the 2 items"),
        ('"next_*"', '["one", "one"]', "not one column for each of the 2 items"),
        ('items = "rating_*"', 'items = "age"', "matches 1 columns"),
        ('task = "ranking"', 'task = "regression"', "label.columns has no meaning"),
    ],
)
def test_a_contradiction_is_refused_by_name(old: str, new: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said.replace(".", r"\.")):
        declared(old, new)
