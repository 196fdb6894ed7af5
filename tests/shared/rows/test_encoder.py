"""The encoder answers the same bits for one row and for a whole frame, and needs no state."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.rows.encoder import RowEncoder, colliding_words, feature_set_of, slots_for, word_hashes
from shared.rows.frames import POLARS_TYPES, encode_frame
from shared.rows.schema import Column, Kind, MomentPart, Roles, Row, RowSchema
from shared.tasks import Task

SECOND_US = 1_000_000
INSTANTS = st.integers(-62_000_000_000, 250_000_000_000).map(lambda s: s * SECOND_US + 7)


def schema_of(*columns: Column) -> RowSchema:
    return RowSchema("sample", 1, Task.binary("yes", "no"), Roles(label="y"), columns)


SCHEMA = schema_of(
    Column("charge", Kind.NUMBER, "charge", required=False),
    Column("contract", Kind.CATEGORY, "contract", values=("month", "year"), required=False),
    Column("city", Kind.CATEGORY, "city", required=False),
    Column("shop", Kind.CATEGORY, "shop", hash_slots=2, required=False),
    Column("fibre", Kind.FLAG, "fibre", required=False),
    Column("last_call", Kind.MOMENT, "last_call", parts=tuple(MomentPart), required=False),
    Column("tenure", Kind.NUMBER, "tenure", default=3.5, required=False),
    Column("plan", Kind.CATEGORY, "plan", default="basic", required=False),
)
VALUES = st.tuples(
    st.none() | st.floats(-1e30, 1e30),
    st.none() | st.sampled_from(["month", "year", "never seen"]),
    st.none() | st.text(),
    st.none() | st.text(),
    st.none() | st.booleans(),
    st.none() | INSTANTS,
    st.none() | st.floats(-10, 10, width=32),
    st.none() | st.text(max_size=3),
)
ROWS = st.builds(Row, st.just("r"), st.just("e"), INSTANTS, st.just(0), VALUES)


def frame_of(schema: RowSchema, rows: list[Row]) -> pl.DataFrame:
    columns = {
        column.name: pl.Series([row.values[at] for row in rows], dtype=POLARS_TYPES[column.kind])
        for at, column in enumerate(schema.columns)
    }
    times = pl.Series([row.event_time_us for row in rows], dtype=pl.Int64)
    return pl.DataFrame({**columns, "event_time": times})


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=8))
def test_one_row_and_a_whole_frame_give_the_same_bits(rows: list[Row]) -> None:
    encoder = RowEncoder(SCHEMA)
    batch = encode_frame(SCHEMA, frame_of(SCHEMA, rows))
    single = np.stack([encoder.vector(row) for row in rows])
    assert single.tobytes() == batch.tobytes() == encoder.matrix(rows).tobytes()
    assert np.isfinite(single[~np.isnan(single)]).all()


@given(st.text())
def test_a_word_has_the_same_hash_whoever_asks_and_fits_a_float32(word: str) -> None:
    first, second = word_hashes(word)
    assert (first, second) == word_hashes(word)
    assert int(np.float32(first)) == first < 2**24
    assert int(np.float32(second)) == second < 2**24


def test_words_are_encoded_as_their_position_and_unseen_ones_as_missing() -> None:
    encoder = RowEncoder(schema_of(Column("c", Kind.CATEGORY, "c", values=("a", "b"))))
    told = [encoder.vector(Row("r", "e", 0, 0, (word,)))[0] for word in ("a", "b", "z", None)]
    assert told[:2] == [0.0, 1.0]
    assert np.isnan(told[2:]).all()


def test_a_moment_becomes_its_age_in_days_at_the_time_of_the_row() -> None:
    encoder = RowEncoder(schema_of(Column("call", Kind.MOMENT, "call")))
    day_us = 86_400 * SECOND_US
    assert encoder.vector(Row("r", "e", 10 * day_us, 0, (4 * day_us,))).tolist() == [6.0]


def test_a_category_of_more_than_a_thousand_words_takes_two_slots() -> None:
    assert [slots_for(count) for count in (10, 1_000, 1_001)] == [1, 1, 2]
    assert RowEncoder(schema_of(Column("c", Kind.CATEGORY, "c", hash_slots=2))).names == (
        "c",
        "c_2",
    )


def test_words_that_share_a_hash_are_found_and_a_second_slot_tells_them_apart() -> None:
    words = [f"word-{number}" for number in range(12_000)]
    duplicates = colliding_words(words, 1)
    assert duplicates
    for word, earlier in duplicates.items():
        assert word_hashes(word)[0] == word_hashes(earlier)[0]
    assert colliding_words(words, 2) == {}


@pytest.mark.parametrize(
    "other",
    [
        Column("c", Kind.CATEGORY, "c", values=("b", "a")),
        Column("c", Kind.CATEGORY, "c"),
        Column("c", Kind.CATEGORY, "c", values=("a", "b"), default="a"),
    ],
)
def test_the_version_of_the_vector_changes_with_what_a_slot_means(other: Column) -> None:
    base = schema_of(Column("c", Kind.CATEGORY, "c", values=("a", "b")))
    assert feature_set_of(base).version == feature_set_of(base).version
    assert feature_set_of(base).version != feature_set_of(schema_of(other)).version
