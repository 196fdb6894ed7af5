"""Sizes in bytes, as people write them."""

import re
from decimal import Decimal

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
_UNITS = {
    "": 1, "b": 1, "byte": 1, "bytes": 1,
    "kib": KIB, "mib": MIB, "gib": GIB, "tib": 1024 * GIB,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip
_SIZE = re.compile(r"([0-9][0-9_]{0,30}(?:\.[0-9]{1,9})?)\s*([a-z]*)(?:/s)?", re.IGNORECASE)


def read_size(text: str) -> int:
    """The bytes of `268435456`, `256 MiB` or `1.5 GB`.

    Raises:
        ValueError: it is not a size, or no whole number of bytes; says how to write one.
    """
    found = _SIZE.fullmatch(text.strip())
    factor = _UNITS.get(found[2].lower()) if found else None
    size = None if found is None or factor is None else Decimal(found[1]) * factor
    if size is None or size != int(size):
        raise ValueError(
            f"{text[:40]!r} is not a size: write bytes, or a unit like 256 MiB or 1.5 GB"
        )
    return int(size)
