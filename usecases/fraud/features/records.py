"""A user's past from PostgreSQL's binary records to the kernel's memory, in compiled code.

`record_send` writes a row as the number of its columns, and each column as type, length and bytes,
all big-endian; a length of -1 is null. The records of one user stand one behind the other.
"""

import math

import numpy as np

from native.compiled import compiled
from native.text_hash import text_hash

from .layout import AMOUNT, LAT, LON, NEVER, NUMBERS, UNKNOWN, Floats, Micros
from .rows import OF_DEVICE, ON_EARTH
from .stepping import (
    AT,
    FEW,
    KNOWN_AT,
    ROW_CATEGORY,
    ROW_ID,
    ROW_OFFSET,
    ROW_REGION,
    ROW_SHOP,
    UNUSUAL,
    WORDS,
    Bytes,
    any_visible,
    block_of,
    count_visible,
    doubled,
)

_COLUMNS = 11
_LATITUDE, _LONGITUDE, _COUNTRY, _DEVICE = 7, 8, 6, 9
_HEAD, _COLUMN_HEAD = 4, 8
_FIRST_BYTES = 16
_SIGN = 128


@compiled
def _integer(data: Bytes, at: int, length: int) -> int:
    """A signed big-endian integer of 2, 4 or 8 bytes."""
    value = np.int64(data[at])
    if value >= _SIGN:
        value -= 256
    for i in range(at + 1, at + length):
        value = value * 256 + np.int64(data[i])
    return int(value)


@compiled
def _find_columns(data: Bytes, at: int, columns: Micros) -> int:
    """The offset and the length of each column's bytes.

    Returns where the record ends, or -1 if it has another form.
    """
    if _integer(data, at, 4) != _COLUMNS:
        return -1
    at += _HEAD
    for column in range(_COLUMNS):
        length = _integer(data, at + 4, 4)
        columns[0, column], columns[1, column] = at + _COLUMN_HEAD, length
        at += _COLUMN_HEAD + max(length, 0)
    return at


@compiled
def _text(data: Bytes, begin: int, length: int) -> int:
    """The code of a text, which is UNKNOWN for null."""
    return UNKNOWN if length < 0 else text_hash(data.ctypes.data + begin, length)


@compiled
def _read_record(data: Bytes, columns: Micros, row: Micros, bits: Micros) -> None:
    """The columns of a `PriorRow` of this use case; `bits` are those of its numbers."""
    begins, lengths = columns[0], columns[1]
    numbers = bits.view(np.float64)
    row[AT] = _integer(data, begins[0], 8)
    row[KNOWN_AT] = _integer(data, begins[1], 8)
    row[ROW_ID] = _text(data, begins[2], lengths[2])
    bits[AMOUNT] = _integer(data, begins[3], 8)
    row[ROW_SHOP] = _text(data, begins[4], lengths[4])
    row[ROW_CATEGORY] = _text(data, begins[5], lengths[5])
    for line, column in ((LAT, _LATITUDE), (LON, _LONGITUDE)):
        if lengths[column] < 0:
            numbers[line] = math.nan
        else:
            bits[line] = _integer(data, begins[column], 8)
    row[ROW_REGION] = UNKNOWN
    if not (abs(numbers[LAT]) < ON_EARTH and abs(numbers[LON]) < ON_EARTH):
        row[ROW_REGION] = _text(data, begins[_COUNTRY], lengths[_COUNTRY])
        if row[ROW_REGION] == UNKNOWN and lengths[_DEVICE] >= 0:
            row[ROW_REGION] = _text(data, begins[_DEVICE], lengths[_DEVICE]) ^ OF_DEVICE
    row[ROW_OFFSET] = 0 if lengths[10] < 0 else _integer(data, begins[10], 2)


@compiled
def _read_records(data: Bytes) -> tuple[bool, Micros, Floats]:
    """All rows, newest first; False if they are in another order, or no such records."""
    rows, bits = np.empty((FEW, WORDS), np.int64), np.empty((FEW, NUMBERS), np.int64)
    columns = np.empty((2, _COLUMNS), np.int64)
    size = at = 0
    in_order = True
    while at < len(data) and in_order:
        if size == len(rows):
            rows, bits = doubled(rows), doubled(bits)
        at = _find_columns(data, at, columns)
        if at < 0:
            return False, rows[:0], bits[:0].view(np.float64)
        _read_record(data, columns, rows[size], bits[size])
        if size > 0:
            in_order = rows[size, AT] <= rows[size - 1, AT]
        size += 1
    return in_order, rows[:size], bits[:size].view(np.float64)


@compiled
def _first_before(firsts: Bytes, end: int) -> tuple[int, int]:
    """The earliest event time before an instant, and the last ingestion of such rows.

    Of each log its oldest row is given, as two integers.
    """
    event_time, ingested_at = NEVER, 0
    for at in range(0, len(firsts), _FIRST_BYTES):
        happened = _integer(firsts, at, 8)
        if happened < end:
            event_time = min(event_time, happened)
            ingested_at = max(ingested_at, _integer(firsts, at + 8, 8))
    return event_time, ingested_at


@compiled
def past_of(
    parts: tuple[Bytes, Bytes, Bytes],
    begin: int,
    row: tuple[int, int, int],
    most: tuple[int, int, int],
) -> tuple[int, Micros]:
    """The block of a user's rows; `row` and `most` as of `stepping.read_past`.

    `parts` are the records since `begin`, the newest ones before, and the oldest one of each log.
    """
    recent, before, firsts = parts
    is_read, rows, numbers = _read_records(recent)
    older, amounts = rows[:0], numbers[:0]
    end_of_older = begin
    if len(rows) == most[1]:
        if count_visible(rows, row[0], row[1]) < most[0]:
            return UNUSUAL, np.empty(0, np.int64)
        end_of_older = rows[len(rows) - 1, AT] + 1
    elif not any_visible(rows, begin, row[0], row[1]):
        is_older_read, older, amounts = _read_records(before)
        is_read = is_read and is_older_read
    if not is_read:
        return UNUSUAL, np.empty(0, np.int64)
    first = _first_before(firsts, end_of_older)
    return block_of((older, amounts), (rows, numbers), first, row, most)
