"""Words become codes without anything fitted, the same in a table and in one row."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shared.features.tiles import NO_SUMS
from tests.usecases.fraud.features.frames import START, frame, transaction
from usecases.fraud.features.batch import compute, word_codes
from usecases.fraud.features.catalogue import CODES, FEATURE_SET, KERNEL_FEATURES
from usecases.fraud.features.categories import (
    CHANNELS,
    COLUMNS,
    COUNTRIES,
    MERCHANT_CATEGORIES,
    SMALLEST_HASH,
    TYPES,
    Words,
    codes_of,
)
from usecases.fraud.features.encoding import new_rows, put_row
from usecases.fraud.features.row_batch import ROW_CODES

words = st.none() | st.text(min_size=1, max_size=64).filter(lambda text: "\0" not in text)


def test_the_codes_come_last_and_stand_for_the_declared_columns() -> None:
    assert FEATURE_SET.names[KERNEL_FEATURES:] == CODES == tuple(f"{name}_code" for name in COLUMNS)
    assert FEATURE_SET.categories == set(CODES)


def test_declared_words_are_their_place_and_open_ones_a_hash_that_float32_holds() -> None:
    assert TYPES["purchase"] == 0.0
    assert CHANNELS["pos"] == 257.0
    code = MERCHANT_CATEGORIES["groceries"]
    assert SMALLEST_HASH <= code < 2**24
    assert float(np.float32(code)) == code


def test_a_code_is_the_same_in_every_process() -> None:
    """Python's own hash is keyed differently in each process; bundles live longer than that."""
    assert MERCHANT_CATEGORIES["groceries"] == EXPECTED
    assert COUNTRIES["groceries"] != EXPECTED


EXPECTED = 7956123.0


def test_null_is_nan_and_an_undeclared_word_is_no_declared_one() -> None:
    assert math.isnan(CHANNELS[None])
    assert CHANNELS["semaphore"] >= SMALLEST_HASH


def test_no_more_words_are_remembered_than_there_is_room_for() -> None:
    table = Words("merchant_category")
    table._most = 10
    codes = {word: table[word] for word in map(str, range(1_000))}
    assert len(table) == 10
    assert all(table[word] == code for word, code in codes.items())


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=20))
def test_batch_and_online_give_the_same_bits_for_any_words(
    texts: list[tuple[str | None, str | None, str | None]],
) -> None:
    rows = [
        replace(
            transaction(number, START + number),
            merchant_category=category,
            channel=channel,
            country=country,
        )
        for number, (category, channel, country) in enumerate(texts)
    ]
    online = new_rows(len(rows))
    for at, row in enumerate(rows):
        put_row(online.data, at, 0, row, NO_SUMS)
    served = online.view(np.float64)[:, ROW_CODES:].astype(np.float32)
    batch = compute(frame(rows))[:, KERNEL_FEATURES:]
    np.testing.assert_array_equal(served, batch)
    np.testing.assert_array_equal(served, np.array([codes_of(row) for row in rows], np.float32))


def test_a_column_without_any_word_is_all_nan() -> None:
    assert np.isnan(word_codes(COUNTRIES, pl.Series([None, None], dtype=pl.String))).all()
    assert len(word_codes(COUNTRIES, pl.Series([], dtype=pl.String))) == 0
