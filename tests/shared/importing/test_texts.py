"""Texts in one form: what is plain already is left alone, and means the same."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shared.importing.texts import normalized, read_texts

TEXTS = st.text(alphabet="aB9=\"'. -#(&\u00e9e\u0301\u00a0\ufeff\t", max_size=8) | st.none()


@given(st.lists(TEXTS, min_size=1), st.booleans())
def test_leaving_plain_texts_alone_changes_no_text(
    texts: list[str | None], is_identifier: bool
) -> None:
    series = pl.Series(texts, dtype=pl.String)
    read = read_texts(series, is_identifier=is_identifier, is_numeric=False)
    assert read.to_list() == normalized(series, is_identifier=is_identifier).to_list()
    assert series.to_list() == texts


def test_a_numeric_column_of_whole_numbers_has_no_decimals() -> None:
    series = pl.Series(['"7.0"', "8", " 9.50 ", None])
    read = read_texts(series, is_identifier=True, is_numeric=True)
    assert read.to_list() == ["7", "8", "9.50", None]
