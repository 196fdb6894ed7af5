"""One user's rows in the memory the kernel reads: compiled code that puts them there.

Text comes as Python's 64-bit hash of it, which is keyed differently in each process: two texts with
one hash are as likely as a guess of the key.
"""

import math

import numpy as np

from native.compiled import compiled

from .layout import (
    BEGIN,
    BUCKET,
    EVENT_TIME,
    FIRST_SEEN,
    HEADER,
    ID,
    INGESTED_AT,
    INTEGERS,
    KNOWN,
    LAST_EVENT,
    LAST_INGESTED,
    LAT,
    LON,
    MERCHANT,
    NEVER,
    NUMBERS,
    PLACE,
    ROOM,
    SHOP,
    SIZE,
    STAMP,
    STAMPS,
    UNKNOWN,
    Floats,
    Micros,
)

_MINUTE = 60_000_000
_BUCKET = 180 * _MINUTE
CELLS_PER_DEGREE = 10.0
"""A location is new when it lies in another cell: 0.1 degree, at most 11 km."""
ON_EARTH = 1_000.0
"""Coordinates from here on are not a place."""
OF_DEVICE = 0x5DE71CE
"""Tells the code of a device from that of a country with the same name."""
_CELL_ORIGIN = 1_000_000
_CELL_LINE = 2**32
_NO_TIME = -(2**63)


@compiled
def new_block(size: int, room: int) -> Micros:
    """A block for this many rows, to be filled in; no line of stamps looks used."""
    block = np.zeros(HEADER + (INTEGERS + NUMBERS) * room, dtype=np.int64)
    block[SIZE] = size
    block[ROOM] = room
    block[FIRST_SEEN] = NEVER
    return block


@compiled
def integers_of(block: Micros) -> Micros:
    end = HEADER + INTEGERS * block[ROOM]
    return block[HEADER:end].reshape((INTEGERS, block[ROOM]))


@compiled
def numbers_of(block: Micros) -> Floats:
    begin = HEADER + INTEGERS * block[ROOM]
    return block[begin:].view(np.float64).reshape((NUMBERS, block[ROOM]))


@compiled
def meet(integers: Micros, at: int, merchant: int) -> None:
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
def complete(integers: Micros, numbers: Floats, at: int, offset_min: int, region: int) -> None:
    """Fill in what follows from the instants and coordinates of a row."""
    local_time = integers[EVENT_TIME, at] + offset_min * _MINUTE
    integers[BUCKET, at] = local_time // _BUCKET % 8
    lat, lon = numbers[LAT, at], numbers[LON, at]
    if math.isinf(lat):
        numbers[LAT, at] = lat = math.nan
    if math.isinf(lon):
        numbers[LON, at] = lon = math.nan
    integers[PLACE, at] = region
    if abs(lat) < ON_EARTH and abs(lon) < ON_EARTH:
        north = math.floor(lat * CELLS_PER_DEGREE) + _CELL_ORIGIN
        east = math.floor(lon * CELLS_PER_DEGREE) + _CELL_ORIGIN
        integers[PLACE, at] = north * _CELL_LINE + east


@compiled
def first_places(codes: Micros, size: int, first: Micros) -> bool:
    """The first position of each code, UNKNOWN for UNKNOWN; True if any code is repeated.

    The codes are hashes already, so their last bits are the table index.
    """
    slots = 16
    while slots < 2 * size:
        slots *= 2
    book = np.full(slots, UNKNOWN, dtype=np.int64)
    again = False
    for at in range(size):
        first[at] = UNKNOWN
        if codes[at] == UNKNOWN:
            continue
        slot = codes[at] & (slots - 1)
        while book[slot] != UNKNOWN and codes[book[slot]] != codes[at]:
            slot = (slot + 1) & (slots - 1)
        if book[slot] == UNKNOWN:
            book[slot] = at
        else:
            again = True
        first[at] = book[slot]
    return again


@compiled
def complete_block(block: Micros, offset_min: Micros, regions: Micros) -> bool:
    """Fill in what follows from rows that have all been written; True if an id is there twice."""
    size = block[SIZE]
    integers, numbers = integers_of(block), numbers_of(block)
    for at in range(size):
        complete(integers, numbers, at, offset_min[at], regions[at])
    block[LAST_EVENT] = block[LAST_INGESTED] = _NO_TIME
    if size > 0:
        block[LAST_EVENT] = integers[EVENT_TIME, size - 1]
        block[LAST_INGESTED] = integers[INGESTED_AT, size - 1]
    # the row of merchants is scratch space until they are looked up
    again = first_places(integers[ID], size, integers[MERCHANT])
    first_places(integers[SHOP], size, integers[MERCHANT])
    return again


@compiled
def facts_of(block: Micros) -> tuple[int, int, int]:
    """The row count, capacity and address of a block."""
    return block[SIZE], block[ROOM], block.ctypes.data


@compiled
def newest_of(block: Micros, most: int, keep: int, room: int) -> Micros:
    """The newest rows with this capacity, for rows later than `most` of those kept.

    Empty where a row was not visible yet when the last one came: then it is unknown which of them
    count.
    """
    size = block[SIZE]
    old = integers_of(block)
    known, begin = block[KNOWN], size - keep
    for at in range(size):
        known = max(known, old[INGESTED_AT, at])
    if known > max(block[LAST_INGESTED], block[KNOWN]):
        return np.empty(0, np.int64)
    less = new_block(keep, room)
    for i in range(HEADER):
        less[i] = block[i]
    less[SIZE], less[ROOM], less[STAMP] = keep, room, 0
    less[KNOWN] = known
    less[BEGIN] = max(block[BEGIN], old[EVENT_TIME, begin + most - 1] + 1)
    less[FIRST_SEEN] = min(block[FIRST_SEEN], old[EVENT_TIME, 0])
    for line in range(INTEGERS + NUMBERS):
        to = HEADER + line * room
        origin = HEADER + line * block[ROOM] + begin
        for at in range(keep):
            less[to + at] = block[origin + at]
    new = integers_of(less)
    for at in range(keep):
        new[STAMPS, at] = 0
    first_places(new[SHOP], keep, new[MERCHANT])
    return less


@compiled
def wider(block: Micros, room: int) -> Micros:
    """The same rows with more room."""
    size = block[SIZE]
    more = new_block(size, room)
    for i in range(HEADER):
        more[i] = block[i]
    more[ROOM] = room
    for line in range(INTEGERS + NUMBERS):
        begin, begin_of_more = HEADER + line * block[ROOM], HEADER + line * room
        for at in range(size):
            more[begin_of_more + at] = block[begin + at]
    return more
