"""Ids of rows without one: a hash of the row's content, so that importing it again is harmless.

The label is excluded: a row whose label arrives later is the same row.
"""

from collections import Counter
from hashlib import blake2b

import polars as pl

_BYTES = 12
_SEPARATOR = "\x1f"


class RowIds:
    """Ids for the rows of one import; rows that are similar to the last character are numbered."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()

    def of_content(self, content: pl.DataFrame) -> pl.Series:
        """One id for each row, the same whenever these rows are read in this order."""
        texts = [
            pl.col(name).cast(pl.String, strict=False).fill_null("\0") for name in content.columns
        ]
        joined = content.select(pl.concat_str(texts, separator=_SEPARATOR).alias("row"))["row"]
        return pl.Series([self._next(row) for row in joined], dtype=pl.String)

    def _next(self, row: str) -> str:
        digest = blake2b(row.encode(), digest_size=_BYTES).digest()
        self._seen[digest] += 1
        times = self._seen[digest]
        return digest.hex() if times == 1 else f"{digest.hex()}-{times}"
