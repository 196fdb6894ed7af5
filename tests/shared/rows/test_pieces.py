"""Pieces of a file: what a converter keeps of earlier pieces changes nothing."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shared.importing.files import PLACES, Piece
from shared.rows.convert import RowConverter
from tests.support.declared_rows import HEADER, NOW_US, declaration

NAMES = HEADER.split(",")
WORDS: dict[str, list[str | None]] = {
    "customer": ["c1", " c2 ", ""],
    "as_of": ["2026-01-05", "2026-01-05T10:00:00Z", "soon", "2031-01-01", None],
    "charge": ["1.5", "1e3", "2000", "much", None],
    "contract": ["month", "year", "decade", None],
    "payment": ["card", "é", "e\u0301", None],
    "fibre": ["yes", "0", "perhaps", None],
    "Last Call": ["2026-01-01T10:00:00Z", "2026-13-01", None],
    "churned": ["yes", "no", "maybe", None],
}


def piece(rows: list[dict[str, str | None]]) -> Piece:
    texts = dict.fromkeys(NAMES, pl.String())
    frame = pl.DataFrame({name: [row[name] for row in rows] for name in NAMES}, schema=texts)
    places = pl.Series(PLACES[0], range(1, len(rows) + 1), pl.Int64)
    return Piece(frame, places, places.alias(PLACES[1]), 1.0)


ROW = st.fixed_dictionaries({name: st.sampled_from(words) for name, words in WORDS.items()})


# few distinct rows, often: texts that come often are read once and kept
@given(st.lists(st.tuples(st.lists(ROW, min_size=1, max_size=3), st.integers(5, 9)), max_size=4))
def test_a_piece_means_the_same_whatever_was_read_before(
    pieces: list[tuple[list[dict[str, str | None]], int]],
) -> None:
    with_memory = RowConverter(declaration(), NOW_US)
    for rows, times in pieces:
        one = piece(rows * times)
        read, problems = with_memory.inputs(one)
        alone, said_alone = RowConverter(declaration(), NOW_US).inputs(one)
        assert read.equals(alone)
        assert problems.to_list() == said_alone.to_list()
