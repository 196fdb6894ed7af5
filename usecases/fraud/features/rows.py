"""One user's rows in the memory the kernel reads: compiled code that puts them there.

Text comes as Python's 64-bit hash of it, which is keyed anew in each process: two texts with
one hash are as likely as a guess of the key.
"""

import math

from shared.features.compiled import compiled
from usecases.fraud.features.layout import (
    AMOUNT,
    BUCKET,
    CATEGORY,
    EVENT_TIME,
    ID,
    INGESTED_AT,
    LAT,
    LON,
    MERCHANT,
    PLACE,
    SHOP,
    UNKNOWN,
    Floats,
    Micros,
)

_MINUTE = 60_000_000
_BUCKET = 180 * _MINUTE
CELLS_PER_DEGREE = 10.0
"""A location is new when it lies in another cell: 0.1 degree, at most 11 km."""
FEW = 1_000
_ON_EARTH = 1_000.0
_CELL_ORIGIN = 1_000_000
_CELL_LINE = 2**32


@compiled
def _meet(integers: Micros, at: int, merchant: int) -> None:
    """Note where the user met the row's merchant first."""
    integers[SHOP, at] = merchant
    integers[MERCHANT, at] = UNKNOWN
    if merchant != UNKNOWN:
        integers[MERCHANT, at] = at
        for j in range(at):
            if integers[SHOP, j] == merchant:
                integers[MERCHANT, at] = integers[MERCHANT, j]
                break


@compiled
def _complete(integers: Micros, numbers: Floats, at: int, offset_min: int, region: int) -> None:
    """Fill in what follows from the instants and coordinates of a row."""
    local_time = integers[EVENT_TIME, at] + offset_min * _MINUTE
    integers[BUCKET, at] = local_time // _BUCKET % 8
    lat, lon = numbers[LAT, at], numbers[LON, at]
    if math.isinf(lat):
        numbers[LAT, at] = lat = math.nan
    if math.isinf(lon):
        numbers[LON, at] = lon = math.nan
    integers[PLACE, at] = region
    if abs(lat) < _ON_EARTH and abs(lon) < _ON_EARTH:
        north = math.floor(lat * CELLS_PER_DEGREE) + _CELL_ORIGIN
        east = math.floor(lon * CELLS_PER_DEGREE) + _CELL_ORIGIN
        integers[PLACE, at] = north * _CELL_LINE + east


@compiled
def complete_rows(
    integers: Micros, numbers: Floats, size: int, offset_min: Micros, regions: Micros
) -> None:
    """The same for rows [0, size); where each merchant was met first as well, if they are few.

    Looking through all rows before each row is the fastest way for hundreds, not for more.
    """
    for at in range(size):
        if size <= FEW:
            _meet(integers, at, integers[SHOP, at])
        _complete(integers, numbers, at, offset_min[at], regions[at])


@compiled
def place_row(  # noqa: PLR0917 - a tuple would cost the caller more than the work
    integers: Micros,
    numbers: Floats,
    at: int,
    event_time: int,
    ingested_at: int,
    transaction_id: int,
    offset_min: int,
    merchant: int,
    category: int,
    region: int,
    amount: float,
    lat: float,
    lon: float,
) -> bool:
    """Write a row behind the last one; False where one of the rows has its id."""
    for j in range(at):
        if integers[ID, j] == transaction_id:
            return False
    integers[EVENT_TIME, at] = event_time
    integers[INGESTED_AT, at] = ingested_at
    integers[ID, at] = transaction_id
    integers[CATEGORY, at] = category
    numbers[AMOUNT, at] = amount
    numbers[LAT, at] = lat
    numbers[LON, at] = lon
    _meet(integers, at, merchant)
    _complete(integers, numbers, at, offset_min, region)
    return True
