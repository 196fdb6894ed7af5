"""Numbers of texts are read alike whether a column is plain or written in many forms."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shared.importing.numbers import NumberStyle, read_numbers, tidy
from shared.rows.reading import read_number_series

WRITTEN = st.one_of(
    st.none(),
    st.floats(allow_nan=True).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["", " 5", "5 ", "+5", "-.5", "5.", "1e5", "1E-3", "(12.50)", "€ 3", "1_000", "0x10",
         "inf", "-Infinity", "nan", "NaN", "1,5", "1.234", "1 234", "12-", "1e400", "word", "5f",
         "٣", "--1", "n/a", "1e", ".", "true"]
    ),
)  # fmt: skip
STYLES = st.sampled_from([NumberStyle(".", None), NumberStyle(",", "."), NumberStyle(".", ",")])


@given(st.lists(WRITTEN, max_size=12), STYLES)
def test_values_and_faults_are_those_of_the_forms_of_writing(
    texts: list[str | None], style: NumberStyle
) -> None:
    source = pl.Series("n", texts, dtype=pl.String)
    values, wrong = read_number_series(source, style)
    expected = read_numbers(source, style)
    assert values.to_list() == expected.to_list()
    assert wrong.to_list() == (tidy(source).is_not_null() & expected.is_null()).to_list()
