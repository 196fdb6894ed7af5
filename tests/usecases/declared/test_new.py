"""`understudy new`: a file becomes a declaration, or one sentence says what is missing."""

import gzip
import re
import sqlite3
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from shared.clock import to_micros
from shared.errors import UnderstudyError
from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.encoder import RowEncoder
from shared.rows.schema import Kind
from shared.tasks import TaskKind
from tests.support.declared_files import churn, iris, prices, tastes
from understudy.proposing import propose_use_case
from usecases.declared.proposal.new import NewFolder, new_use_case
from usecases.declared.proposal.request import CannotPropose, NewUseCase
from usecases.declared.proposal.source_columns import FEEDBACK_ONLY

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))


def written(folder: Path, frame: pl.DataFrame, name: str = "rows.csv") -> Path:
    path = folder / name
    frame.write_parquet(path) if name.endswith(".parquet") else frame.write_csv(path)
    return path


def asked(file: Path, label: str, **more: object) -> NewUseCase:
    return NewUseCase("sample", label, (file,), **more)  # type: ignore[arg-type]


def proposed(folder: Path, frame: pl.DataFrame, label: str, **more: object) -> NewFolder:
    file = written(folder, frame)
    return new_use_case(asked(file, label, **more), folder / "usecases", NOW_US)


def kinds(made: NewFolder) -> dict[str, str]:
    return {column.source: str(column.kind) for column in made.declared.row_schema.columns}


def warnings(made: NewFolder, column: str) -> str:
    [guess] = [guess for guess in made.proposal.guesses if guess.source == column]
    return " ".join(guess.warnings)


def refusal(folder: Path, frame: pl.DataFrame, label: str, **more: object) -> str:
    """What is said; nothing may be left behind."""
    file = written(folder, frame)
    with pytest.raises(CannotPropose) as raised:
        new_use_case(asked(file, label, **more), folder / "usecases", NOW_US)
    assert not list((folder / "usecases").glob("*"))
    assert not list((folder / "usecases").glob(".*"))
    said = str(raised.value)
    assert "\n" not in said
    return said


def test_a_churn_table_becomes_a_declaration_that_reads_back(tmp_path: Path) -> None:
    made = proposed(tmp_path, churn(1_500), "churned", time="as_of", entity="customer_id")
    assert kinds(made) == {
        "tenure_months": "number",
        "MonthlyCharges": "number",
        "contract": "category",
        "city": "category",
        "has_fibre": "flag",
        "support_calls": "number",
        "last_call": "moment",
    }
    schema = read_declaration(made.folder / FILE_NAME).row_schema
    assert schema == made.declared.row_schema
    assert schema.task.names == ("no", "yes")
    assert schema.column("contract").values == ("month", "two years", "year")
    assert schema.column("city").is_open
    assert not schema.column("last_call").required
    assert (made.counts.read, made.counts.rejected) == (1_500, 0)
    text = (made.folder / FILE_NAME).read_text()
    assert 30 <= len(text.splitlines()) <= 60
    assert len(RowEncoder(schema).names) == 7


def test_a_regression_and_a_multiclass_are_told_by_their_labels(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    houses = proposed(first, prices(800), "price", time="sold_on")
    flowers = proposed(second, iris(300), "species", no_time=True)
    assert houses.proposal.label.task is TaskKind.REGRESSION
    assert houses.proposal.row_id == "house_id"
    assert houses.declared.row_schema.column("living_area_m2").source == "living area (m2)"
    assert flowers.declared.row_schema.task.names == ("setosa", "versicolor", "virginica")
    assert flowers.declared.use_case.no_time


def test_parquet_gz_and_a_folder_are_read_alike(tmp_path: Path) -> None:
    frame = churn(600)
    plain = written(tmp_path, frame)
    folder = tmp_path / "folder"
    folder.mkdir()
    packed = folder / "one.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    parquet = written(tmp_path, frame, "rows.parquet")
    found = []
    for number, file in enumerate((plain, packed, folder, parquet)):
        request = asked(file, "churned", time="as_of", entity="customer_id")
        found.append(new_use_case(request, tmp_path / str(number), NOW_US))
    assert len({str(kinds(made)) for made in found}) == 1
    assert [made.counts.read for made in found] == [600] * 4


def test_what_leaks_is_told(tmp_path: Path) -> None:
    frame = churn(1_000)
    is_positive = pl.col("churned") == "yes"
    frame = frame.with_columns(
        copy=pl.when(is_positive).then(pl.lit("left")).otherwise(pl.lit("stays")),
        score=is_positive.cast(pl.Float64) + pl.col("support_calls") / 100,
        reason=pl.when(is_positive).then(pl.lit("moved")),
        last_call=pl.when(pl.col("has_fibre") == "yes")
        .then(pl.lit("2026-05-01"))
        .otherwise(pl.lit("2026-05-02")),
        ticket=pl.int_range(pl.len()).cast(pl.String).str.pad_start(9, "T"),
        always=pl.lit("x"),
        nearly_empty=pl.when(pl.int_range(pl.len()) < 20).then(1.5),
        cancel_date=pl.lit(None, pl.String),
    )
    made = proposed(tmp_path, frame, "churned", time="as_of", entity="customer_id")
    assert "copy" not in kinds(made)
    assert "copy of the label" in warnings(made, "copy")
    assert "alone ranks the label 1.000 of 1" in warnings(made, "score")
    assert "filled in afterwards" in warnings(made, "reason") or "alone ranks" in warnings(
        made, "reason"
    )
    assert "after the time of the row in 100%" in warnings(made, "last_call")
    assert "constant: always 'x'" in warnings(made, "always")
    assert "nearly empty: 20 of 1,000" in warnings(made, "nearly_empty")
    assert "it is empty" in warnings(made, "cancel_date")
    assert "ticket" not in kinds(made)
    assert made.proposal.row_id == "ticket"


HONEST: dict[str, tuple[pl.DataFrame, str, dict[str, Any]]] = {
    "churn": (churn(2_000), "churned", {"time": "as_of", "entity": "customer_id"}),
    "prices": (prices(2_000), "price", {"time": "sold_on"}),
    "iris": (iris(600), "species", {"no_time": True}),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_columns_are_not_called_leaks(tmp_path: Path, name: str) -> None:
    frame, label, more = HONEST[name]
    made = proposed(tmp_path, frame, label, **more)
    assert {guess.warnings for guess in made.proposal.guesses if guess.kind} == {()}


def test_texts_that_are_no_words_are_left_out(tmp_path: Path) -> None:
    said = pl.Series([f"Dear all,\n{number % 40}" for number in range(300)])
    made = proposed(tmp_path, CHURN.with_columns(letter=said), "churned", **NAMED)
    assert "letter" not in kinds(made)
    assert (
        "300 of 300 texts are longer than 256 characters or hold line ends"
        in (made.folder / FILE_NAME).read_text()
    )
    assert made.counts.rejected == 0


def test_a_column_by_whose_name_it_is_known_afterwards_is_told(tmp_path: Path) -> None:
    frame = churn(500).with_columns(cancellation_fee=pl.col("MonthlyCharges") * 2)
    made = proposed(tmp_path, frame, "churned", time="as_of", entity="customer_id")
    assert "known only after the label" in warnings(made, "cancellation_fee")


def test_a_value_of_another_type_far_down_the_file_is_found(tmp_path: Path) -> None:
    frame = churn(3_000).with_columns(pl.col("tenure_months").cast(pl.String))
    frame = frame.with_columns(
        tenure_months=pl.when(pl.int_range(pl.len()) == 2_899)
        .then(pl.lit("a year"))
        .otherwise("tenure_months")
    )
    made = proposed(tmp_path, frame, "churned", time="as_of", entity="customer_id")
    assert kinds(made)["tenure_months"] == "number"
    assert "'a year' in row 2,900 is not a number" in warnings(made, "tenure_months")
    assert made.counts.rejected == 1
    [example] = made.counts.examples.values()
    assert example.startswith("tenure_months is 'a year', which is not a number (row 2,900")


def test_classes_that_are_written_in_several_ways_are_told(tmp_path: Path) -> None:
    words = ["no", "No", "True", "1", "perhaps"] * 60
    made = proposed(tmp_path, CHURN.with_columns(churned=pl.Series(words)), "churned", **NAMED)
    assert made.proposal.label.warnings == (
        "classes '1', 'True' may be one: write them alike in the source",
        "classes 'No', 'no' may be one: write them alike in the source",
    )


def test_files_of_a_folder_may_hold_a_column_in_several_types(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    parts = [CHURN.head(150), CHURN.tail(150)]
    parts[0] = parts[0].with_columns(
        pl.col("as_of").cast(pl.String).str.slice(0, 10).str.to_date().alias("as_of"),
        paid=pl.lit(value=True), since=pl.lit(1.5).cast(pl.Decimal(9, 2)),
    )  # fmt: skip
    parts[1] = parts[1].with_columns(
        pl.col("as_of").cast(pl.String), paid=pl.lit("no"), since=pl.lit(7)
    )
    for number, part in enumerate(parts):
        part.write_parquet(folder / f"{number}.parquet")
    made = new_use_case(asked(folder, "churned", **NAMED), tmp_path / "usecases", NOW_US)
    assert (made.counts.read, made.counts.rejected) == (300, 0)
    assert (kinds(made)["paid"], kinds(made)["since"]) == ("flag", "number")


def test_a_column_of_durations_is_named_with_the_remedy(tmp_path: Path) -> None:
    frame = CHURN.with_columns(stay=pl.duration(hours=pl.int_range(pl.len())))
    file = written(tmp_path, frame, "rows.parquet")
    with pytest.raises(CannotPropose, match=r"column 'stay' holds duration.*number of seconds"):
        new_use_case(asked(file, "churned", **NAMED), tmp_path / "usecases", NOW_US)
    assert not (tmp_path / "usecases").exists()


def test_numbers_with_a_decimal_comma_are_read_and_declared(tmp_path: Path) -> None:
    frame = churn(400).with_columns(
        MonthlyCharges=pl.col("MonthlyCharges").cast(pl.String).str.replace(".", ",", literal=True)
    )
    made = proposed(tmp_path, frame, "churned", time="as_of", entity="customer_id")
    assert kinds(made)["MonthlyCharges"] == "number"
    assert made.declared.numbers.decimal == ","
    assert made.counts.rejected == 0


ROWS = 120
PLAIN_ROWS = {
    "when": [f"2025-{number % 6 + 1:02}-{number % 28 + 1:02}" for number in range(ROWS)],
    "y": ["yes" if number % 3 == 0 else "no" for number in range(ROWS)],
    "size": [str(number % 40) for number in range(ROWS)],
}
EURO = [f"€ {number % 7 + 1}.{number % 900 + 100},{number % 90 + 10}" for number in range(ROWS)]


def table(**columns: list[Any]) -> pl.DataFrame:
    """A small table with a time, a label and these columns."""
    return pl.DataFrame(PLAIN_ROWS | columns)


def test_numbers_with_currencies_and_percent_are_numbers_with_their_range(tmp_path: Path) -> None:
    frame = table(
        price=EURO,
        change=[
            f"({number % 50},5)" if number % 2 else f"{number % 50},5" for number in range(ROWS)
        ],
        share=[f"{number % 100},25 %" for number in range(ROWS)],
        paid=[f"{number % 60},75 EUR" for number in range(ROWS)],
    )
    made = proposed(tmp_path, frame, "y", time="when")
    assert made.counts.rejected == 0
    why = {guess.source: guess.why for guess in made.proposal.guesses}
    assert why["price"].startswith("numbers from 1100.10 to 7".replace(".10", ".1"))
    assert why["change"] == "numbers from -49.5 to 48.5"
    assert why["share"] == "numbers from 0.25 to 99.25"
    assert why["paid"] == "numbers from 0.75 to 59.75"


def test_the_label_of_a_regression_may_have_a_decimal_comma_and_a_currency(tmp_path: Path) -> None:
    made = proposed(tmp_path, table(price=EURO), "price", time="when")
    assert made.proposal.label.task is TaskKind.REGRESSION
    assert made.declared.numbers.decimal == ","
    assert (made.counts.read, made.counts.rejected) == (ROWS, 0)


def test_a_column_with_another_decimal_mark_says_so_itself(tmp_path: Path) -> None:
    frame = table(price=EURO, weight=[f"{number % 40}.5" for number in range(ROWS)])
    made = proposed(tmp_path, frame, "y", time="when")
    assert made.declared.columns["weight"].decimal == "."
    assert made.declared.columns["price"].decimal is None
    assert made.counts.rejected == 0


def test_three_digits_behind_every_point_are_doubted(tmp_path: Path) -> None:
    frame = table(km=[f"{number % 80 + 1}.{number % 900 + 100}" for number in range(ROWS)])
    made = proposed(tmp_path, frame, "y", time="when")
    assert "if the point separates thousands, write decimal" in warnings(made, "km")


def test_codes_with_zeros_in_front_are_words(tmp_path: Path) -> None:
    frame = table(zip=[f"{number % 30 + 990:05}" for number in range(ROWS)])
    assert kinds(proposed(tmp_path, frame, "y", time="when"))["zip"] == "category"


def test_words_for_nothing_are_words_of_a_category_and_no_value_of_other_kinds(
    tmp_path: Path,
) -> None:
    frame = table(
        kind=[("a", "b", "NA")[number % 3] for number in range(ROWS)],
        paid=[("yes", "no", "n/a")[number % 3] for number in range(ROWS)],
        seen=[("2024-05-01", "2024-06-01", "None")[number % 3] for number in range(ROWS)],
    )
    made = proposed(tmp_path, frame, "y", time="when")
    assert made.counts.rejected == 0
    assert made.declared.row_schema.column("kind").values == ("NA", "a", "b")
    assert "'NA' (40 rows) is a word like others here" in warnings(made, "kind")
    assert not made.declared.row_schema.column("paid").required
    assert not made.declared.row_schema.column("seen").required


def test_a_word_for_nothing_is_no_label_but_where_it_is_a_class(tmp_path: Path) -> None:
    answers = [("yes", "no", "NA", "None")[number % 4] for number in range(ROWS)]
    made = proposed(tmp_path, table(y=answers), "y", time="when")
    assert made.declared.row_schema.task.names == ("no", "yes")
    assert made.counts.rejected == 0
    assert "'NA', 'None' (rows: 60) is taken as no label" in made.proposal.label.warnings
    damages = [("none", "minor", "major")[number % 3] for number in range(ROWS)]
    (tmp_path / "b").mkdir()
    made = proposed(tmp_path / "b", table(y=damages), "y", time="when")
    assert made.declared.row_schema.task.names == ("major", "minor", "none")


def test_newest_rows_without_a_label_are_told(tmp_path: Path) -> None:
    frame = table().with_columns(
        y=pl.when(pl.col("when") < "2025-06-01").then("y"),
    )
    notes = " ".join(proposed(tmp_path, frame, "y", time="when").proposal.notes)
    assert "16.7% of the rows have no label" in notes
    assert "after 2025-05-27, have no label: if that is how long" in notes
    assert 'write delay = "' in notes


def test_free_text_json_and_lists_are_left_out_and_never_name_a_row(tmp_path: Path) -> None:
    frame = table(
        note=[f"customer number {number} called about a bill" for number in range(ROWS)],
        raw=[f'{{"a": {number}}}' for number in range(ROWS)],
    ).with_columns(tags=pl.Series([["a", "b"]] * ROWS))
    file = written(tmp_path, frame, "rows.parquet")
    made = new_use_case(asked(file, "y", time="when"), tmp_path / "usecases", NOW_US)
    assert made.proposal.row_id is None
    assert list(kinds(made)) == ["size"]
    assert "free text" in warnings(made, "note")
    assert "JSON" in warnings(made, "raw")
    assert "it holds list" in warnings(made, "tags").replace("large_", "")
    assert made.counts.rejected == 0


def test_names_of_columns_keep_the_letters_that_people_read(tmp_path: Path) -> None:
    names = ["Größe", "Année", "Øl-pris", "价格", "1st"]
    frame = table(**{name: [number * 0.5 for number in range(ROWS)] for name in names})
    made = proposed(tmp_path, frame, "y", time="when")
    assert list(made.declared.columns) == ["size", "grosse", "annee", "ol_pris", "column", "c_1st"]


def test_columns_without_a_name_at_the_end_are_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = table().write_csv().splitlines()
    path.write_text("\n".join(f"{line},," for line in lines))
    made = new_use_case(asked(path, "y", time="when"), tmp_path / "usecases", NOW_US)
    assert "columns 4 to 5 have no name" in " ".join(made.proposal.notes)
    assert made.counts.rejected == 0


def test_columns_that_only_a_later_file_has_are_left_out_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    table().write_csv(folder / "1.csv")
    table(colour=["red"] * ROWS).write_csv(folder / "2.csv")
    made = new_use_case(asked(folder, "y", time="when"), tmp_path / "usecases", NOW_US)
    assert made.counts.read == 2 * ROWS
    assert "2.csv has columns that 1.csv lacks, 'colour': left out" in made.proposal.notes


def test_a_ranking_takes_the_columns_of_its_items(tmp_path: Path) -> None:
    ratings = {"rating_tea": [1, 2, 5], "rating_mate": [5, 4, 1]}
    frame = pl.DataFrame({"user": ["a", "b", "c"], "age": [30, 40, 51], **ratings})
    made = proposed(tmp_path, frame, "rating_*", no_time=True, entity="user")
    assert made.declared.row_schema.task.kind is TaskKind.RANKING
    assert made.declared.row_schema.roles.items == ("rating_tea", "rating_mate")
    assert made.proposal.label.warnings == (FEEDBACK_ONLY,)


def test_a_ranking_finds_the_ratings_so_far_by_the_names_of_the_labels(tmp_path: Path) -> None:
    made = proposed(tmp_path, tastes(300), "next_*", time="asked_on", entity="guest")
    roles = made.declared.row_schema.roles
    assert made.declared.label.items == "rating_*"
    assert made.declared.label.columns == ("next_*",)
    assert roles.item_labels[0] == roles.items[0].replace("rating_", "next_")
    assert not any(name.startswith("next_") for name in made.declared.columns)
    assert made.proposal.label.warnings == ()


def test_items_with_names_of_their_own_are_listed_one_by_one(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "Rating Tea": [1, 2, 5, None], "Rating Mate": [5, 4, 1, 2],
            "Later: Tea": [1.5, 2, 5, 1], "Later: Mate": [5, 3, 1, 2],
        }
    )  # fmt: skip
    options = {"no_time": True, "items": "Rating *"}
    made = proposed(tmp_path, frame, "Later: *", **options)
    roles = made.declared.row_schema.roles
    assert roles.items == ("rating_tea", "rating_mate")
    assert roles.item_labels == ("Later: Tea", "Later: Mate")
    assert made.declared.row_schema.task.names == ("tea", "mate")
    assert made.counts.rejected == 0


def stamped(text: str) -> pl.Expr:
    return pl.lit(text).alias("as_of")


def epochs(every: int) -> pl.Expr:
    """Seconds since 1970, every so many in milliseconds."""
    row = pl.int_range(pl.len())
    seconds = 1_750_000_000 + row * 60
    return pl.when(row % every == 0).then(seconds * 1_000).otherwise(seconds)


CHURN, TASTES = churn(300), tastes(300)
NAMED = {"time": "as_of", "entity": "customer_id"}
REFUSED: dict[str, tuple[pl.DataFrame, str, dict[str, Any], list[str]]] = {
    "a label that does not exist": (
        CHURN, "churnd", NAMED, ["--label churnd", "no such column", "did you mean 'churned'?"],
    ),
    "a label of one class": (
        CHURN.with_columns(churned=pl.lit("no")), "churned", NAMED,
        ["label column 'churned' has one class only, 'no'", "--label"],
    ),
    "a ranking of one item": (
        CHURN, "churne*", NAMED, ["--label churne* matches 1 columns", "needs at least two"],
    ),
    "a ranking whose ratings so far may be two groups": (
        TASTES.with_columns(pl.col("^rating_.*$").name.map(lambda name: f"old_{name}")),
        "next_*", {"time": "asked_on"},
        ["the ratings so far may be 'rating_*' and 'old_rating_*'", "--items 'rating_*'"],
    ),
    "a ranking whose labels lack an item": (
        TASTES.drop("next_tea"), "next_*", {"time": "asked_on", "items": "rating_*"},
        ["--items rating_* and --label next_*", "no column 'next_tea'"],
    ),
    "a label without a value": (
        CHURN.with_columns(churned=pl.lit(None, pl.String)), "churned", NAMED,
        ["label column 'churned' has no value in any of 300 rows", "--label"],
    ),
    "a label of very many classes": (
        pl.DataFrame({"x": range(10_000), "y": [f"class {n}" for n in range(10_000)]}), "y",
        {"no_time": True}, ["'y' has more than 5,000 classes", "at most 256"],
    ),
    "a label of whole texts": (
        CHURN.with_columns(churned=pl.col("churned") + "\nand more"), "churned", NAMED,
        ["label column 'churned' holds 300 texts that are longer than 256 characters or hold line"],
    ),
    "a label that may be classes or amounts": (
        pl.DataFrame({"x": range(100), "y": [n % 7 for n in range(100)]}), "y",
        {"no_time": True}, ["'y' holds 7 whole numbers", "--task multiclass or --task regression"],
    ),
    "a regression of words": (
        CHURN, "contract", {**NAMED, "task": TaskKind.REGRESSION},
        ["label column 'contract'", "not a number", "--task multiclass"],
    ),
    "no time": (
        CHURN, "churned", {}, ["as_of, last_call may be it", "--time COLUMN", "--no-time"],
    ),
    "a time of years": (
        CHURN.with_columns(as_of=pl.int_range(pl.len()) % 20 + 2000), "churned", NAMED,
        ["'as_of' holds years such as 2000", "write whole dates"],
    ),
    "a time of months": (
        CHURN.with_columns(stamped("2025-06")), "churned", NAMED,
        ["--time as_of: '2025-06' is a month, and a row needs a day: write whole dates"],
    ),
    "one column for two roles": (
        CHURN, "churned", {"time": "as_of", "entity": "churned"},
        ["--label churned and --entity churned are one column"],
    ),
    "a time and none": (
        CHURN, "churned", {**NAMED, "no_time": True}, ["--time as_of and --no-time"],
    ),
    "a time that does not exist": (
        CHURN, "churned", {"time": "asof"}, ["--time asof", "did you mean 'as_of'?"],
    ),
    "an entity that does not exist": (
        CHURN, "churned", {"time": "as_of", "entity": "who"}, ["--entity who", "no such column"],
    ),
    "a time that does not parse": (
        CHURN, "churned", {"time": "contract"}, ["--time contract", "is not a date and time"],
    ),
    "a time that may be day first or month first": (
        CHURN.with_columns(stamped("05/06/2025")), "churned", NAMED,
        ["--time as_of", "none of its days is above 12", "--day-first, --month-first"],
    ),
    "an entity without a value": (
        CHURN.with_columns(customer_id=pl.lit(None, pl.String)), "churned", NAMED,
        ["--entity customer_id has no value in any of 300 rows", "leave --entity out"],
    ),
    "a time of numbers that count something": (
        CHURN.with_columns(as_of=pl.int_range(pl.len())), "churned", NAMED, ["--time as_of"],
    ),
    "a time in days of Excel": (
        CHURN.with_columns(as_of=pl.int_range(pl.len()) + 45_000.5), "churned", NAMED,
        ["--time as_of", 'unit = "excel"', "--time-unit"],
    ),
    "a time in seconds and in milliseconds": (
        CHURN.with_columns(as_of=epochs(2)), "churned", NAMED,
        ["'as_of' counts in s (150 rows) and ms (150 rows): bring all of it in one unit"],
    ),
    "a time in the future": (
        CHURN.with_columns(stamped("2031-01-05")), "churned", NAMED,
        ["300 of 300 rows would be rejected", "as_of is '2031-01-05", "in the future"],
    ),
    "a file without rows": (CHURN.head(0), "churned", NAMED, ["rows.csv holds no rows"]),
    "a file of thousands of columns": (
        pl.DataFrame({f"c{n}": [1.0, 2.0] for n in range(5_000)}), "c0", {"no_time": True},
        ["rows.csv has 5,000 columns, a table takes 1,500"],
    ),
    "nothing but the label": (
        CHURN.select("churned"), "churned", {"no_time": True}, ["no column is left to learn from"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_not_be_guessed_is_asked_for_and_nothing_is_left_behind(
    tmp_path: Path, name: str
) -> None:
    frame, label, more, parts = REFUSED[name]
    said = refusal(tmp_path, frame, label, **more)
    for part in parts:
        assert part in said


def test_three_formats_in_one_time_column_are_all_read(tmp_path: Path) -> None:
    formats = ("2025-07-01", "2 Jul 2025", "2025-07-03T10:15:00+02:00")
    frame = churn(300).with_columns(
        as_of=pl.Series([formats[number % 3] for number in range(300)]), last_call=pl.lit(None)
    )
    made = proposed(tmp_path, frame, "churned", time="as_of")
    assert made.counts.rejected == 0


def test_of_several_formats_the_ambiguous_one_is_shown(tmp_path: Path) -> None:
    formats = ("2025-07-01", "03/04/2025", "2 Jul 2025")
    frame = churn(300).with_columns(
        as_of=pl.Series([formats[number % 3] for number in range(300)]), last_call=pl.lit(None)
    )
    said = refusal(tmp_path, frame, "churned", time="as_of")
    assert "writes dates such as 03/04/2025, and none of its days is above 12" in said


def test_the_unit_of_a_time_in_numbers_is_declared_as_stated(tmp_path: Path) -> None:
    frame = CHURN.with_columns(as_of=pl.int_range(pl.len()) + 45_000.5).drop("last_call")
    made = proposed(tmp_path, frame, "churned", **NAMED, time_unit="excel")
    assert made.declared.time.unit == "excel"
    assert made.counts.rejected == 0


def test_a_few_milliseconds_among_seconds_are_rejected_as_rows(tmp_path: Path) -> None:
    frame = CHURN.with_columns(as_of=epochs(50)).drop("last_call")
    made = proposed(tmp_path, frame, "churned", **NAMED)
    assert made.counts.rejected == 6
    [example] = made.counts.examples.values()
    assert "as_of is '1750000000000', in the future" in example


FOREIGN = {
    "nothing": (b"", "rows.csv is empty: its first line has to hold the names of the columns"),
    "blank lines": (b"\n\n", "rows.csv is empty"),
    "a workbook": (b"PK\x03\x04\x14\x00\x8d", "an Excel workbook or a ZIP archive: save it as CSV"),
    "rows with another number of fields": (
        b"x,y\n1,yes,\n2,no,\n",
        "no line of rows.csv is a row: line has 3 fields instead of 2 (line 2); correct the file",
    ),
    "an index of pandas": (
        b",x,y\n0,1,yes\n1,2,no\n",
        "column 1 has no name: name it, or leave it",
    ),
    "a name that is a text": (
        b"x" * 300 + b",y\n1,yes\n",
        "column 1 has a name of 300 characters, 'xxxx",
    ),
    "a title with a comma": (
        b"Report, 1 May\n" + b"x,y,z\n" + b"1,yes,2\n" * 9,
        "line 1 has 2 of the 3 fields that most lines have; its table seems to begin on line 2",
    ),
    "a title that was padded": (
        b"Report;;\n;;\nx;y;z\n" + b"1;yes;2\n" * 9,
        "as a title has; its table seems to begin on line 3: delete the lines above it",
    ),
    "Excel's line about the delimiter": (
        b"sep=;\nx;y\n1;yes\n2;no\n",
        "line 1 names Excel's delimiter, 'sep=;'",
    ),
    "an Arrow file": (b"ARROW1\0\0....", "an Arrow (Feather) file: save its rows as Parquet"),
    "Zstandard": (b"\x28\xb5\x2f\xfd....", "compressed by Zstandard: unpack it"),
    "gzip by another name": (gzip.compress(b"a,y\n1,yes\n"), "by gzip: end its name with .gz"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_no_table_is_told_by_what_it_is(tmp_path: Path, name: str) -> None:
    content, said = FOREIGN[name]
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(CannotPropose, match=re.escape(said)):
        new_use_case(asked(path, "y", no_time=True), tmp_path / "usecases", NOW_US)
    assert not (tmp_path / "usecases").exists()


def test_one_instant_for_all_rows_is_told(tmp_path: Path) -> None:
    frame = CHURN.with_columns(stamped("2026-01-15"), last_call=pl.lit(None, pl.String))
    made = proposed(tmp_path, frame, "churned", **NAMED)
    assert "all rows have one instant" in " ".join(made.proposal.notes)
    assert "--no-time" in " ".join(made.proposal.notes)


def test_duplicate_names_in_the_header_are_named(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("a,b,a,y\n1,2,3,yes\n4,5,6,no\n")
    with pytest.raises(CannotPropose, match="'a' is there 2 times: rename all but one"):
        new_use_case(asked(path, "y", no_time=True), tmp_path / "usecases", NOW_US)
    assert not (tmp_path / "usecases").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    request = asked(tmp_path / "none.csv", "y", no_time=True)
    with pytest.raises(CannotPropose, match=r"cannot read .*none\.csv"):
        new_use_case(request, tmp_path / "usecases", NOW_US)


def test_a_use_case_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    made = proposed(tmp_path, iris(60), "species", no_time=True)
    before = (made.folder / FILE_NAME).read_bytes()
    with pytest.raises(CannotPropose, match="sample is there already"):
        proposed(tmp_path, churn(60), "churned", no_time=True)
    assert (made.folder / FILE_NAME).read_bytes() == before


def test_the_table_is_whole_at_eighty_columns(tmp_path: Path) -> None:
    frame = churn(400).with_columns(
        pl.lit(1.5).alias("a_column_with_a_name_that_is_much_longer_than_the_terminal_is_wide_" * 2)
    )
    file = written(tmp_path, frame)
    screen = StringIO()
    console = Console(file=screen, width=80)
    request = asked(file, "churned", time="as_of", entity="customer_id")
    propose_use_case(request, tmp_path / "usecases", console)
    text = screen.getvalue()
    assert "…" not in text
    assert "terminal_is_wide_" in text.replace("\n", "").replace("│", "").replace(" ", "")
    for word in ("contract", "category", "left out", "Written:", "understudy run --use-case"):
        assert word in text
    assert all(len(line) <= 80 for line in text.splitlines() if "│" in line)


def test_kinds_of_columns_are_said_with_a_reason(tmp_path: Path) -> None:
    made = proposed(tmp_path, churn(500), "churned", time="as_of", entity="customer_id")
    assert all(guess.why for guess in made.proposal.guesses)
    assert {guess.kind for guess in made.proposal.guesses} == set(Kind)


def in_database(tmp_path: Path, frame: pl.DataFrame) -> str:
    """The URL of a database whose table `rows` holds this."""
    path = tmp_path / "source.db"
    connection = sqlite3.connect(path)
    connection.execute(f"create table rows ({', '.join(frame.columns)})")
    marks = ", ".join("?" * frame.width)
    connection.executemany(f"insert into rows values ({marks})", frame.rows())
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


def asked_by_query(sql: str, label: str = "churned") -> NewUseCase:
    return NewUseCase("sample", label, sql=sql, time="as_of", entity="customer_id")


def test_a_query_is_proposed_from_and_becomes_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATABASE_URL", in_database(tmp_path, churn(400)))
    sql = "select * from rows where as_of > :since"
    made = new_use_case(asked_by_query(sql), tmp_path / "usecases", NOW_US)
    assert made.counts.rejected == 0
    assert made.declared.source.sql == sql
    assert made.declared.row_schema.task.kind is TaskKind.BINARY


@pytest.mark.parametrize(
    ("sql", "label", "part"),
    [
        ("select * from nowhere", "churned", "no such table: nowhere"),
        ("select * from rows where as_of > '2999-01-01'", "churned", "holds no rows"),
        ("select * from rows", "churnd", "did you mean 'churned'?"),
    ],
)
def test_a_query_that_cannot_be_used_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str, label: str, part: str
) -> None:
    monkeypatch.setenv("SOURCE_DATABASE_URL", in_database(tmp_path, churn(50)))
    with pytest.raises(UnderstudyError, match=re.escape(part)):
        new_use_case(asked_by_query(sql, label), tmp_path / "usecases", NOW_US)
    assert not (tmp_path / "usecases").exists()


def test_a_database_file_that_is_not_there_is_named_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(UnderstudyError, match=r"none\.db, does not exist: correct its URL"):
        new_use_case(asked_by_query("select 1"), tmp_path / "usecases", NOW_US)
    assert list(tmp_path.iterdir()) == []


def test_a_query_cannot_change_the_database_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATABASE_URL", in_database(tmp_path, churn(50)))
    with pytest.raises(UnderstudyError, match="readonly database"):
        new_use_case(asked_by_query("delete from rows returning *"), tmp_path / "u", NOW_US)


def test_a_query_without_a_database_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATABASE_URL", raising=False)
    with pytest.raises(UnderstudyError, match="SOURCE_DATABASE_URL"):
        new_use_case(asked_by_query("select 1"), tmp_path / "usecases", NOW_US)
    assert not (tmp_path / "usecases").exists()


@pytest.mark.parametrize(("rows_each", "is_told"), [(1, False), (3, True)])
def test_ids_that_repeat_are_told_and_ids_of_rows_are_not(
    tmp_path: Path, rows_each: int, is_told: bool
) -> None:
    rows = 24_000
    frame = pl.DataFrame(
        {
            "order_id": [f"o{number // rows_each}" for number in range(rows)],
            "size": [number % 90 for number in range(rows)],
            "y": ["no" if number % 3 else "yes" for number in range(rows)],
        }
    )
    made = proposed(tmp_path, frame, "y", no_time=True)
    notes = " ".join(made.proposal.notes)
    assert ("order_id occurs in several rows" in notes) == is_told
