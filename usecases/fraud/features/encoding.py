"""Encodes rows as the kernel's numbers: instants, amounts, and hashes of texts.

Rows of one user, and rows that come in, are encoded here; `stepping`
does the same to rows as SQLite holds them and `batch` to whole columns.
The parity test checks that all agree.
"""

import math
from collections.abc import Sequence
from struct import Struct
from typing import Any

import numpy as np

from shared.features.reader import PriorRow
from shared.features.tiles import Sums
from shared.transaction import Transaction

from .categories import codes_of
from .layout import (
    AMOUNT,
    CATEGORY,
    EVENT_TIME,
    HEADER,
    ID,
    INGESTED_AT,
    INTEGERS,
    LAT,
    LON,
    SHOP,
    UNKNOWN,
    Micros,
)
from .row_batch import FORMAT, WORDS
from .rows import OF_DEVICE, complete_block, new_block

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
"""The fields of a prior row that the kernel reads besides its instants, in order."""

_ITEM_BYTES = 8
_ROW_BYTES = WORDS * _ITEM_BYTES
_NAN = math.nan
_NO_ROWS: tuple[tuple[Any, ...], ...] = ((),) * (3 + len(PRIOR_COLUMNS))
_put_words = Struct(FORMAT).pack_into


def new_rows(count: int) -> Micros:
    """Memory for rows that come in."""
    return np.empty((count, WORDS), dtype=np.int64)


def put_row(rows: memoryview, at: int, line: int, transaction: Transaction, sums: Sums) -> None:
    """Write a row that came in at its place; `line` is where its features go.

    `rows` is the data of `new_rows`: taking it from the array again costs each row a tenth.
    """
    category = transaction.merchant_category
    lat, lon = transaction.lat, transaction.lon
    home_lat, home_lon = transaction.home_lat, transaction.home_lon
    _put_words(
        rows,
        at * _ROW_BYTES,
        line,
        transaction.event_time_us,
        transaction.ingested_at_us,
        hash(transaction.transaction_id),
        transaction.utc_offset_min or 0,
        hash(transaction.merchant_id),
        UNKNOWN if category is None else hash(category),
        region_code(transaction.country, transaction.device_id),
        *sums,
        transaction.amount,
        _NAN if lat is None else lat,
        _NAN if lon is None else lon,
        _NAN if home_lat is None else home_lat,
        _NAN if home_lon is None else home_lon,
        *codes_of(transaction),
    )


def encode(rows: Sequence[PriorRow], room: int) -> Micros:
    """A block of the rows in the order given, with a capacity of this many in all."""
    size = len(rows)
    columns = list(zip(*rows, strict=False)) if rows else _NO_ROWS
    event_time, ingested_at, ids, amount, merchant, category, country, lat, lon = columns[:9]
    device, offset = columns[9:11]
    block = new_block(size, room)
    whole, real = Struct(f"{size}q"), Struct(f"{size}d")

    def put(line: int, values: Sequence[Any]) -> None:
        whole.pack_into(block.data, (HEADER + line * room) * _ITEM_BYTES, *values)

    def put_real(line: int, values: Sequence[Any]) -> None:
        real.pack_into(block.data, (HEADER + (INTEGERS + line) * room) * _ITEM_BYTES, *values)

    put(EVENT_TIME, event_time)
    put(INGESTED_AT, ingested_at)
    put(ID, list(map(hash, ids)))
    put(SHOP, [text_code(text) for text in merchant])
    put(CATEGORY, [text_code(text) for text in category])
    put_real(AMOUNT, amount)
    put_real(LAT, _degrees(lat))
    put_real(LON, _degrees(lon))
    offset_min = np.array([minutes or 0 for minutes in offset], dtype=np.int64)
    regions = np.array(list(map(region_code, country, device)), dtype=np.int64)
    complete_block(block, offset_min, regions)
    return block


def text_code(text: str | None) -> int:
    """Equal text, equal number; None is UNKNOWN, which no text is."""
    return UNKNOWN if text is None else hash(text)


def region_code(country: str | None, device_id: str | None) -> int:
    """The region where coordinates are unknown: country, else device, else unknown."""
    if country is not None:
        return hash(country)
    return UNKNOWN if device_id is None else hash(device_id) ^ OF_DEVICE


def _degrees(values: Sequence[float | None]) -> Sequence[float]:
    return [_NAN if value is None else value for value in values]
