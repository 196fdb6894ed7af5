"""Columns become counts by day: quantile bins, known categories, a bin for what is missing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.drift.bins import ColumnKind, count_by_day, fit_bins, kind_of

ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(ANY_NUMBER, min_size=1), st.lists(ANY_NUMBER, min_size=1))
def test_every_number_falls_into_exactly_one_bin(known: list[float], new: list[float]) -> None:
    bins = fit_bins(ColumnKind.NUMBER, np.array(known))
    codes = bins.codes(np.array(new))
    assert ((codes >= 0) & (codes < bins.size)).all()
    missing = np.isnan(np.array(new))
    assert (codes[missing] == bins.size - 1).all()
    assert (codes[~missing] < bins.size - 1).all()


@pytest.mark.parametrize(
    "values",
    [
        np.array(["card", "transfer", "card"]),
        np.array(["card", "transfer", "card"], dtype=object),
        np.array([0, 1, 0]),
        np.array([0.0, 1.0, 0.0]),
    ],
)
def test_categories_are_known_by_their_text_whatever_holds_them(
    values: np.ndarray[Any, Any],
) -> None:
    bins = fit_bins(ColumnKind.CATEGORY, values)
    assert list(bins.codes(values)) == [0, 1, 0]


def test_a_new_category_and_a_missing_one_have_bins_of_their_own() -> None:
    bins = fit_bins(ColumnKind.CATEGORY, np.array(["a", "b"], dtype=object))
    assert list(bins.codes(np.array(["c", None, "a"], dtype=object))) == [2, 3, 0]


def test_a_category_that_is_hardly_ever_seen_is_other() -> None:
    values = np.array(["a"] * 5_000 + ["b"])
    assert fit_bins(ColumnKind.CATEGORY, values).categories == ("a",)


def test_flags_are_categories_and_what_has_more_values_is_a_number() -> None:
    nothing = np.float32(np.nan)
    assert kind_of(np.array([0, 1, 1, nothing], dtype=np.float32)) is ColumnKind.CATEGORY
    assert kind_of(np.array([0, 1, 2], dtype=np.float32)) is ColumnKind.NUMBER
    assert kind_of(np.array([nothing])) is ColumnKind.CATEGORY


def test_what_is_missing_among_flags_is_missing_and_no_category() -> None:
    bins = fit_bins(ColumnKind.CATEGORY, np.array([0, 1, np.nan], dtype=np.float32))
    assert bins.categories == ("0.0", "1.0")
    assert list(bins.codes(np.array([np.nan, 1], dtype=np.float32))) == [3, 1]


def test_a_column_without_any_value_is_all_missing() -> None:
    bins = fit_bins(ColumnKind.NUMBER, np.array([np.nan, np.nan]))
    assert list(bins.codes(np.array([np.nan, 3.0]))) == [1, 0]


def test_rows_are_counted_by_day_and_bin() -> None:
    values = np.array(["a", "b", "a", "a"])
    bins = fit_bins(ColumnKind.LABEL, values)
    found = count_by_day(bins, values, np.array([0, 0, 1, 1]), 2)
    assert found.tolist() == [[1, 1, 0, 0], [2, 0, 0, 0]]
