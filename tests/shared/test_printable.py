"""Text of data is shown as it is, and never obeyed by a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.printable import printable, printable_line


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp"))))
def test_visible_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == printable_line(text) == text


@given(st.text(st.characters()))
def test_no_character_that_a_terminal_obeys_is_left_and_none_is_lost(text: str) -> None:
    shown = printable_line(text)
    assert len(shown) == len(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown)


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x9b31m", "a\rb", "\x07", "a\u202eb", "a\u2028b", "\ud800", "\x7f"]
)
def test_escape_sequences_bells_overrides_and_half_characters_become_visible(text: str) -> None:
    shown = printable(text)
    assert shown != text
    shown.encode()
