"""A scan finds the rows of a file as a careful reader would, whatever its quotes do."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.importing.csv_files import OPEN_QUOTE, Layout, scan


def _scan(text: str) -> Layout:
    return scan(np.frombuffer(text.encode(), np.uint8), ",")


def _removed(text: str) -> list[tuple[int, int, int]]:
    return [(row.row, row.line, row.fields) for row in _scan(text).removed]


def test_a_quote_that_never_closes_costs_its_own_line_only() -> None:
    text = 'id,note\n1,a\n2,"open\n3,c\n4,d\n'
    assert _scan(text).rows == 4
    assert _removed(text) == [(2, 3, OPEN_QUOTE)]


def test_two_of_them_do_not_make_one_text_of_what_is_between() -> None:
    text = 'id,note\n1,"open\n2,b\n3,"open too\n4,d\n'
    assert _removed(text) == [(1, 2, OPEN_QUOTE), (3, 4, OPEN_QUOTE)]


def test_nor_do_a_forgotten_quote_and_a_quoted_text_further_down() -> None:
    text = 'id,note\n1,"open\n2,"b, and more"\n3,c\n'
    assert _removed(text) == [(1, 2, OPEN_QUOTE)]


def test_a_text_over_several_lines_is_one_row_and_those_behind_keep_their_line() -> None:
    text = 'id,note\n1,"a\nb\nc"\n2,d\n\n3,e\n'
    layout = _scan(text)
    assert (layout.rows, layout.removed) == (3, ())
    assert layout.lines_of(np.array([1, 2, 3])).tolist() == [2, 5, 7]


def test_rows_with_other_numbers_of_fields_are_named() -> None:
    assert _removed("a,b\n1,2\n3\n4,5,6\n7,8\n") == [(2, 3, 1), (3, 4, 3)]


def test_rows_that_are_left_keep_their_numbers() -> None:
    layout = _scan("a,b\n1,2\n3\n4,5\n6\n7,8\n")
    assert layout.kept(0, 3).tolist() == [1, 3, 5]
    assert layout.kept(1, 2).tolist() == [3, 5]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_counts_once(end: str) -> None:
    layout = _scan(end.join(["a,b", "1,2", "3,4", ""]))
    assert (layout.rows, layout.fields) == (2, 2)
    assert layout.lines_of(np.array([2])).tolist() == [3]


def test_a_backslash_may_stand_in_front_of_a_quote_if_the_file_shows_it() -> None:
    text = 'a,b\n1,"say \\"hi\\", then go"\n2,"x"\n'
    layout = _scan(text)
    assert (layout.rows, layout.removed) == (2, ())
    assert [text[at : at + 2] for at in layout.escapes] == ['\\"', '\\"']


def test_a_text_that_ends_in_a_backslash_is_not_taken_for_one() -> None:
    layout = _scan('a,b\n1,"C:\\"\n2,"D:\\"\n')
    assert (layout.rows, layout.removed, len(layout.escapes)) == (2, (), 0)


@pytest.mark.parametrize("text", ["", "\n", "a,b", "a,b\n", '"', '"a', "\ufeffa,b\n1,2"])
def test_nothing_and_nearly_nothing_can_be_scanned(text: str) -> None:
    assert _scan(text).rows in (0, 1)


CELLS = st.text(st.sampled_from("ab \",\n\r'5"), max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
def test_whatever_a_writer_quotes_comes_back_as_that_many_rows(
    rows: list[tuple[str, str]],
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(("left", "right"))
    writer.writerows(rows)
    layout = _scan(file.getvalue())
    assert layout.rows == len(rows)
    assert layout.removed == ()
