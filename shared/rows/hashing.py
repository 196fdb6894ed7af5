"""The hash of a word in an open category: 24 bits of its UTF-8 text, exact in a float32.

The text decides, never the process, the platform or a vocabulary: training and serving agree
without sharing anything.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

HASH_BITS = 24
BYTES_PER_SLOT = HASH_BITS // 8
MAX_SLOTS = 2
WORDS_PER_SLOT = 1_000
"""Above this many words one slot is too likely to give two of them the same hash."""


def word_hashes(word: str) -> tuple[int, int]:
    """Two independent hashes of a word, each in [0, 2**24)."""
    digest = blake2b(word.encode(), digest_size=MAX_SLOTS * BYTES_PER_SLOT).digest()
    return int.from_bytes(digest[:BYTES_PER_SLOT]), int.from_bytes(digest[BYTES_PER_SLOT:])


def slots_for(words: int) -> int:
    """The number of slots for a category of this many words."""
    return 1 if words <= WORDS_PER_SLOT else MAX_SLOTS


def colliding_words(words: Iterable[str], slots: int) -> Mapping[str, str]:
    """Words that are encoded exactly like an earlier one: word -> the earlier word."""
    first: dict[tuple[int, ...], str] = {}
    duplicates: dict[str, str] = {}
    for word in words:
        earlier = first.setdefault(word_hashes(word)[:slots], word)
        if earlier != word:
            duplicates[word] = earlier
    return duplicates
