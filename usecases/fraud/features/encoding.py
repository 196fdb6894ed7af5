"""How text and places become the numbers the kernel compares, for the rows of one request.

`usecases.fraud.features.batch` does the same to whole columns; the parity test holds both
to it.
"""

import math
from collections.abc import Iterable

import numpy as np

from shared.clock import MICROS_PER_HOUR, MICROS_PER_SECOND
from usecases.fraud.features.layout import UNKNOWN, Buckets, Codes, Micros

MICROS_PER_MINUTE = 60 * MICROS_PER_SECOND
CELLS_PER_DEGREE = 10.0
"""A location is new when it lies in another cell: 0.1 degree, at most 11 km."""

PRIOR_COLUMNS = (
    "amount",
    "merchant_id",
    "merchant_category",
    "country",
    "lat",
    "lon",
    "device_id",
    "utc_offset_min",
)
"""What the kernel wants of a prior row besides its instants, in the order it is read."""


class Coder:
    """Gives equal text equal numbers, counting from 0; nothing known is UNKNOWN."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, text: str | None) -> int:
        if text is None:
            return UNKNOWN
        return self._codes.setdefault(text, len(self._codes))

    def column(self, texts: Iterable[str | None]) -> Codes:
        return np.array([self.code(text) for text in texts], dtype=np.int32)

    def __len__(self) -> int:
        return len(self._codes)


def buckets(event_time: Micros, offset_min: Micros) -> Buckets:
    """The three hours of the local day in which each row happened, 0 to 7."""
    local_time = event_time + offset_min * MICROS_PER_MINUTE
    return (local_time // (3 * MICROS_PER_HOUR) % 8).astype(np.int8)


def place(lat: float | None, lon: float | None, country: str | None, device: str | None) -> str:
    """The location as text: the cell, else the country, else the device; "" is unknown."""
    if lat is not None and lon is not None and math.isfinite(lat) and math.isfinite(lon):
        return f"c{math.floor(lat * CELLS_PER_DEGREE)},{math.floor(lon * CELLS_PER_DEGREE)}"
    if country is not None:
        return f"n{country}"
    return "" if device is None else f"d{device}"
