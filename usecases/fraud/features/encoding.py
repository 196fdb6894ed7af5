"""How rows become the numbers the kernel reads: instants, amounts, and hashes for text.

The rows of one user are encoded here; `usecases.fraud.features.batch` does the same to
whole columns, and the parity test holds both to it.
"""

import math
from collections.abc import Sequence
from struct import Struct
from typing import Any

import numpy as np

from shared.features.reader import PriorRow
from shared.transaction import Transaction
from usecases.fraud.features.layout import (
    AMOUNT,
    CATEGORY,
    EVENT_TIME,
    ID,
    INGESTED_AT,
    INTEGERS,
    LAT,
    LON,
    MERCHANT,
    NUMBERS,
    SHOP,
    UNKNOWN,
    Floats,
    Micros,
)
from usecases.fraud.features.rows import FEW, complete_rows

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

_ITEM_BYTES = 8
_NO_ROWS: tuple[tuple[Any, ...], ...] = ((),) * (3 + len(PRIOR_COLUMNS))


def encode(rows: Sequence[PriorRow], room: int) -> tuple[Micros, Floats]:
    """The rows in the order given, in memory with room for so many in all."""
    size = len(rows)
    columns = list(zip(*rows, strict=False)) if rows else _NO_ROWS
    event_time, ingested_at, ids, amount, merchant, category, country, lat, lon = columns[:9]
    device, offset = columns[9:11]
    # zeroed: no line of stamps may look used
    integers = np.zeros((INTEGERS, room), dtype=np.int64)
    numbers = np.zeros((NUMBERS, room))
    whole, real = Struct(f"{size}q"), Struct(f"{size}d")

    def put(line: int, values: Sequence[Any]) -> None:
        whole.pack_into(integers.data.cast("B"), line * room * _ITEM_BYTES, *values)

    def put_real(line: int, values: Sequence[Any]) -> None:
        real.pack_into(numbers.data.cast("B"), line * room * _ITEM_BYTES, *values)

    put(EVENT_TIME, event_time)
    put(INGESTED_AT, ingested_at)
    put(ID, list(map(hash, ids)))
    put(SHOP, [text_code(text) for text in merchant])
    put(CATEGORY, [text_code(text) for text in category])
    put_real(AMOUNT, amount)
    put_real(LAT, _degrees(lat))
    put_real(LON, _degrees(lon))
    if size > FEW:
        integers[MERCHANT, :size] = _first_meetings(integers[SHOP, :size])
    offset_min = np.array([minutes or 0 for minutes in offset], dtype=np.int64)
    if None in lat or None in lon:
        regions = np.array(list(map(region_code, country, device)), dtype=np.int64)
    else:
        regions = np.full(size, UNKNOWN, dtype=np.int64)
    complete_rows(integers, numbers, size, offset_min, regions)
    return integers, numbers


def text_code(text: str | None) -> int:
    """Equal text, equal number; None is UNKNOWN, which no text is."""
    return UNKNOWN if text is None else hash(text)


def region_code(country: str | None, device_id: str | None) -> int:
    """Where the coordinates are unknown: the country, else the device, else unknown."""
    if country is not None:
        return hash("n" + country)
    return UNKNOWN if device_id is None else hash("d" + device_id)


def region_of(transaction: Transaction) -> int:
    return region_code(transaction.country, transaction.device_id)


def degrees_of(value: float | None) -> float:
    """A coordinate; None becomes NaN."""
    return math.nan if value is None else value


def _degrees(values: Sequence[float | None]) -> Sequence[float | None]:
    return list(map(degrees_of, values)) if None in values else values


def _first_meetings(shops: Micros) -> Micros:
    """For each row the first one with the same merchant."""
    _, first, code = np.unique(shops, return_index=True, return_inverse=True)
    return np.where(shops == UNKNOWN, UNKNOWN, first[code])
