"""Compiled code finds the hash that Python gives the same text."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native.text_hash import agrees_with_python, text_hash


def hash_of_bytes(told: bytes) -> int:
    memory = ctypes.create_string_buffer(told)
    return text_hash(ctypes.addressof(memory), len(told))


pytestmark = pytest.mark.coupling


@settings(deadline=None)  # the first one compiles
@given(st.text(st.characters(codec="utf-8")))
def test_any_text_has_the_hash_that_python_gives_it(text: str) -> None:
    assert hash_of_bytes(text.encode()) == hash(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "merchant-0123456789", "Café", "ÿ", "Ā", "Łódź", "店", "店 caf\u00e9", "\U0010ffff!"],
)
def test_every_width_of_characters_is_told_apart(text: str) -> None:
    assert hash_of_bytes(text.encode()) == hash(text)


@pytest.mark.parametrize("told", [b"\xff", b"\x80\x80", b"abc\xf0\x9f", b"\xc3", b"\xf8\xff\xff"])
def test_bytes_that_are_no_text_have_some_hash(told: bytes) -> None:
    assert hash_of_bytes(told) == hash_of_bytes(told)


def test_the_check_before_the_first_reading_passes_with_this_python() -> None:
    assert agrees_with_python()
