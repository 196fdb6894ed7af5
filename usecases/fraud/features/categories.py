"""The categories of a request as float32 codes, without anything fitted.

A word of a declared list is its place in the lists; any other text is a 24-bit hash of its UTF-8
bytes, exact in float32; null is NaN. Batch and online look words up in the same tables, so they
cannot disagree. The model's graph maps codes to the words it was trained on.
"""

from hashlib import blake2b
from typing import get_args

from shared.transaction import Transaction

from ..requests import Channel, TransactionType

SMALLEST_HASH = 1_024
"""Hashes begin here, so that none is taken for a place in a list."""

MAX_WORDS = 10_000
"""The most words of a column remembered with their codes; others are hashed again."""

_CODES = 2**24
_NAN = float("nan")


class Words(dict[str | None, float]):
    """Word -> code of one column, filled as words come."""

    def __init__(self, column: str, declared: tuple[str, ...] = (), first: int = 0) -> None:
        super().__init__({word: float(place) for place, word in enumerate(declared, first)})
        self[None] = _NAN
        self._column = column.encode()[: blake2b.PERSON_SIZE]
        self._most = MAX_WORDS + len(self)

    def __missing__(self, word: str | None) -> float:
        text = (word or "").encode(errors="surrogatepass")
        # personalised by column: the same word in two columns has two codes
        digest = blake2b(text, digest_size=4, person=self._column).digest()
        code = SMALLEST_HASH + int.from_bytes(digest, "big") % (_CODES - SMALLEST_HASH)
        if len(self) < self._most:
            self[word] = float(code)
        return float(code)


TYPES = Words("transaction_type", get_args(TransactionType))
MERCHANT_CATEGORIES = Words("merchant_category")
# disjoint code ranges, so that one table can hold the words of all columns
CHANNELS = Words("channel", get_args(Channel), first=256)
COUNTRIES = Words("country")

COLUMNS: dict[str, Words] = {
    "transaction_type": TYPES,
    "merchant_category": MERCHANT_CATEGORIES,
    "channel": CHANNELS,
    "country": COUNTRIES,
}
"""Columns in the order of the feature set."""


def codes_of(transaction: Transaction) -> tuple[float, float, float, float]:
    """The codes of one row, in the order of `COLUMNS`."""
    return (
        TYPES[transaction.transaction_type],
        MERCHANT_CATEGORIES[transaction.merchant_category],
        CHANNELS[transaction.channel],
        COUNTRIES[transaction.country],
    )
