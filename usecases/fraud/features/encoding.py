"""How rows become the numbers the kernel reads: instants, amounts, and codes for text.

The rows of one request are encoded here; `usecases.fraud.features.batch` does the same to
whole columns, and the parity test holds both to it.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from shared.clock import MICROS_PER_HOUR, MICROS_PER_SECOND
from shared.features.live import Past
from shared.features.sums_cache import SumsVector
from shared.transaction import Transaction
from usecases.fraud.features.layout import (
    NEVER,
    UNKNOWN,
    Buckets,
    Codes,
    Floats,
    History,
    Micros,
    Table,
)

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


def encode(transaction: Transaction, past: Past, sums: SumsVector) -> Table:
    """A table whose last row is the transaction."""
    columns = list(zip(*past.rows, _as_row(transaction), strict=False))
    event_time, ingested_at, _ids, amount, merchant, category, country, lat, lon = columns[:9]
    device, offset = columns[9:11]
    instants = np.array(event_time, dtype=np.int64)
    offset_min = np.array([minutes or 0 for minutes in offset], dtype=np.int64)
    history = History(
        event_time=instants,
        ingested_at=np.array(ingested_at, dtype=np.int64),
        bucket=buckets(instants, offset_min),
        amount=np.array(amount, dtype=np.float64),
        merchant=_codes(merchant),
        category=_codes(category),
        location=_codes(list(map(place, lat, lon, country, device))),
        lat=_degrees(lat),
        lon=_degrees(lon),
    )
    size = len(instants)
    return Table(
        history=history,
        begins=np.zeros(size, np.int64),
        first_seen=NEVER if past.first_seen is None else past.first_seen,
        offset_min=offset_min,
        home_lat=np.repeat(_degrees([transaction.home_lat]), size),
        home_lon=np.repeat(_degrees([transaction.home_lon]), size),
        sums=sums.reshape(1, -1),
        targets=np.zeros(size, np.int64),
    )


def buckets(event_time: Micros, offset_min: Micros) -> Buckets:
    """The three hours of the local day in which each row happened, 0 to 7."""
    local_time = event_time + offset_min * MICROS_PER_MINUTE
    return (local_time // (3 * MICROS_PER_HOUR) % 8).astype(np.int8)


def bucket_of(transaction: Transaction) -> int:
    """The same for one row."""
    offset_us = (transaction.utc_offset_min or 0) * MICROS_PER_MINUTE
    return (transaction.event_time_us + offset_us) // (3 * MICROS_PER_HOUR) % 8


@lru_cache(maxsize=8_192)
def place(
    lat: float | None, lon: float | None, country: str | None, device_id: str | None
) -> str | None:
    """The location as text: the cell, else the country, else the device, else unknown."""
    if lat is not None and lon is not None and math.isfinite(lat) and math.isfinite(lon):
        return f"c{math.floor(lat * CELLS_PER_DEGREE)},{math.floor(lon * CELLS_PER_DEGREE)}"
    if country is not None:
        return f"n{country}"
    return None if device_id is None else f"d{device_id}"


def place_of(transaction: Transaction) -> str | None:
    return place(transaction.lat, transaction.lon, transaction.country, transaction.device_id)


def degrees_of(value: float | None) -> float:
    """A coordinate; what is None or not finite becomes NaN."""
    return value if value is not None and math.isfinite(value) else math.nan


def _as_row(transaction: Transaction) -> tuple[object, ...]:
    values = (getattr(transaction, name) for name in PRIOR_COLUMNS)
    instants = (transaction.event_time_us, transaction.ingested_at_us)
    return (*instants, transaction.transaction_id, *values)


def _codes(texts: Sequence[str | None]) -> Codes:
    """Equal text, equal number, counting from 0; None is UNKNOWN."""
    codes: dict[str | None, int] = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    codes[None] = UNKNOWN
    return np.array(list(map(codes.__getitem__, texts)), dtype=np.int32)


def _degrees(values: Sequence[float | None]) -> Floats:
    """Coordinates; what is None or not finite becomes NaN."""
    degrees = np.array(values, dtype=np.float64)
    degrees[~np.isfinite(degrees)] = np.nan
    return degrees
