"""Python's hash of a text, made in compiled code of the UTF-8 that SQLite hands over.

Python hashes the characters, in one, two or four bytes each; for ASCII that is UTF-8. The key
is drawn when Python starts, so two texts with one hash cannot be prepared.
"""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from native.catalogue import COMPILED_READING
from native.compiled import compiled, without_linear_algebra
from native.pointers import bytes_at, pointer_to


def _hash_of_bytes() -> Any:
    """Numba's implementation of CPython's hash; None where it is unavailable."""
    if not COMPILED_READING.in_use:
        return None
    try:
        with without_linear_algebra():
            from numba.cpython.hashing import (  # noqa: PLC0415 - only what is checked is imported
                _Py_HashBytes,
            )
    except ImportError as error:
        COMPILED_READING.fall_back(str(error))
        return None
    return _Py_HashBytes


_Py_HashBytes = _hash_of_bytes()
Bytes = npt.NDArray[np.uint8]


@compiled
def _hash_of(characters: Bytes, length: int) -> int:
    code: int = _Py_HashBytes(pointer_to(characters.ctypes.data), length)
    return code


@compiled
def _wide_hash(text: Bytes) -> int:
    """The hash of text that is not ASCII."""
    length = largest = at = 0
    characters = np.empty(len(text), dtype=np.uint32)
    while at < len(text):
        lead = int(text[at])
        more = int(lead >= 0xC0) + int(lead >= 0xE0) + int(lead >= 0xF0)
        character = lead & (0xFF >> (more + 2)) if more else lead
        for follower in text[at + 1 : at + 1 + more]:
            character = character << 6 | int(follower) & 0x3F
        characters[length] = character
        largest |= character
        length += 1
        at += 1 + more
    # the bitwise or of all characters gives the width of the widest
    if largest < 0x100:
        return _hash_of(characters.astype(np.uint8), length)
    if largest < 0x10000:
        return _hash_of(characters.astype(np.uint16).view(np.uint8), 2 * length)
    return _hash_of(characters.view(np.uint8), 4 * length)


@compiled
def text_hash(address: int, length: int) -> int:
    """Python's hash of UTF-8 text."""
    text = bytes_at(address, length)
    together = np.uint8(0)
    for byte in text:
        together |= byte
    if together >= 0x80:
        return _wide_hash(text)
    code: int = _Py_HashBytes(pointer_to(address), length)
    return code


# ASCII, and characters of 1, 2 and 4 bytes; lengths that end inside a machine word and at its end
_SAMPLES = ("", "a", "merchant-0123456789", "Zoë", "Łódź-12", "店長", "🦉 owl", "x" * 128)


def agrees_with_python() -> bool:
    """True if texts of every kind have the hash that this Python gives them."""
    return all(_hash_of_text(text) == hash(text) for text in _SAMPLES)


def _hash_of_text(text: str) -> int:
    encoded = text.encode()
    memory = ctypes.create_string_buffer(encoded)
    return text_hash(ctypes.addressof(memory), len(encoded))
