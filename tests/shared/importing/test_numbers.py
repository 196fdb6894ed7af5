"""Numbers are read as the column means them, and never a thousand times too large."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.importing.mapping import MappingError, NumberRules
from shared.importing.numbers import (
    NumberStyle,
    decide_style,
    read_numbers,
    tidied,
    tidy,
    writings,
)

EUROPEAN = NumberStyle(",", ".")
AMERICAN = NumberStyle(".", ",")


def _column(*texts: str | None) -> pl.Series:
    return pl.Series(texts, dtype=pl.String)


def _decided(*texts: str, currency: str | None = "EUR", **rules: str) -> NumberStyle:
    return decide_style(
        writings(_column(*texts)), NumberRules.model_validate(rules), "sum", currency
    )


SPELLINGS = [
    ("12.50", 12.5),
    (" 12.50 ", 12.5),
    ("+12.5", 12.5),
    ("12.50-", -12.5),
    ("(12.50)", -12.5),
    ("- 12.50", -12.5),
    ("\u221212.50", -12.5),
    ("\u20ac12.50", 12.5),
    ("12.50 \u20ac", 12.5),
    ("$ 1,234.50", 1234.5),
    ("-$12.50", -12.5),
    ("EUR 12.50", 12.5),
    ("12.50 USD", 12.5),
    ("US$12.50", 12.5),
    ("1 234 567.5", 1234567.5),
    ("1\u202f234.5", 1234.5),
    ("1'234.50", 1234.5),
    ("1\u2019234.50", 1234.5),
    ("1,234,567", 1234567.0),
    ("12,34,567.00", 1234567.0),
    ("1.5e3", 1500.0),
    (".5", 0.5),
    ("5.", 5.0),
    ("12.5 %", 12.5),
    ("-7%", -7.0),
]


@pytest.mark.parametrize(("text", "value"), SPELLINGS)
def test_a_number_may_have_a_sign_a_currency_and_thousands(text: str, value: float) -> None:
    assert read_numbers(_column(text), AMERICAN).to_list() == [value]


@pytest.mark.parametrize("text", ["12,5,0", "1,23", "1.2.3", "twelve", "12 50", "0x10", "1,2345.0"])
def test_what_is_no_number_in_this_style_is_not_guessed(text: str) -> None:
    assert read_numbers(_column(text), AMERICAN).to_list() == [None]


@pytest.mark.parametrize("text", ["", "-", "NaN", "nan", "N/A", "NULL", "None", "#N/A", None])
def test_words_for_nothing_are_missing(text: str | None) -> None:
    assert read_numbers(_column(text), AMERICAN).to_list() == [None]


@given(st.integers(0, 10**12))
def test_every_amount_comes_back_from_both_styles(cents: int) -> None:
    american = f"{cents / 100:,.2f}"
    european = american.translate(str.maketrans(",.", ".,"))
    value = float(american.replace(",", ""))
    assert read_numbers(_column(american), AMERICAN).to_list() == [value]
    assert read_numbers(_column(european), EUROPEAN).to_list() == [value]


def test_a_column_shows_its_style_by_any_number_that_can_be_read_in_one_way_only() -> None:
    assert _decided("12,50", "1.299,99", "7") == EUROPEAN
    assert _decided("950", "1.250", "1.250.000") == EUROPEAN
    assert _decided("12.50", "1,234") == AMERICAN
    assert _decided("12.50", "7") == AMERICAN
    assert _decided("7", "12") == NumberStyle()
    assert _decided("0.125", "1.250") == AMERICAN


@pytest.mark.parametrize("texts", [("1.250", "25.000", "950"), ("1,250", "25,000")])
def test_three_digits_behind_every_mark_are_asked_for(texts: tuple[str, ...]) -> None:
    with pytest.raises(MappingError, match=r"column 'sum': all 2 numbers .* three digits"):
        _decided(*texts)


def test_the_mapping_or_a_currency_of_thousandths_answers_it() -> None:
    assert _decided("1.250", thousands=".") == EUROPEAN
    assert _decided("1.250", decimal=".") == NumberStyle(".", None)
    assert _decided("1.250", currency="KWD") == NumberStyle()


def test_a_column_of_both_styles_is_read_plainly_and_the_rest_rejected() -> None:
    style = _decided("12,50", "12.50")
    assert read_numbers(_column("12,50", "12.50"), style).to_list() == [None, 12.5]


@given(
    st.lists(
        st.text(alphabet="0123456789.,+-eE '€_()$%-\u2009x", max_size=9) | st.none(), min_size=1
    )
)
def test_leaving_tidy_texts_alone_changes_no_number(texts: list[str | None]) -> None:
    series = pl.Series(texts, dtype=pl.String)
    assert tidy(series).to_list() == tidied(series).to_list()
    assert series.to_list() == texts
