"""A user's past from SQLite to the kernel's memory in compiled code, without an object a row."""

import math

import numpy as np
import numpy.typing as npt

from shared.features import sqlite_c as sqlite
from shared.features.compiled import compiled
from shared.features.text_hash import text_hash
from usecases.fraud.features.layout import (
    AMOUNT,
    BEGIN,
    CATEGORY,
    EVENT_TIME,
    FIRST_SEEN,
    ID,
    INGESTED_AT,
    KNOWN,
    LAT,
    LON,
    NEVER,
    NUMBERS,
    SHOP,
    UNKNOWN,
    Floats,
    Micros,
)
from usecases.fraud.features.rows import (
    OF_DEVICE,
    ON_EARTH,
    complete_block,
    integers_of,
    new_block,
    numbers_of,
)

Bytes = npt.NDArray[np.uint8]

GOOD, UNUSUAL, FAILED = range(3)
"""How it ended: with a block; with rows that want a closer look; without an answer."""

WINDOW, OLDER, FIRST = range(3)
"""The questions, each a line: address of the statement, numbers of its three parameters."""

_AT, _KNOWN, _ID, _SHOP, _CATEGORY, _OFFSET, _REGION, _WORDS = range(8)
_FEW = 64


@compiled
def _text(statement: int, column: int) -> int:
    address = sqlite.column_text(statement, column)
    if address == 0:
        return UNKNOWN
    return text_hash(address, sqlite.column_bytes(statement, column))


@compiled
def _degrees(statement: int, column: int) -> float:
    degrees: float = sqlite.column_double(statement, column)
    if degrees == 0.0 and sqlite.column_type(statement, column) == sqlite.NULL:
        return math.nan
    return degrees


@compiled
def _region(statement: int) -> int:
    country = _text(statement, 6)
    if country != UNKNOWN:
        return country
    device = _text(statement, 9)
    return UNKNOWN if device == UNKNOWN else device ^ OF_DEVICE


@compiled
def _read_row(statement: int, row: Micros, numbers: Floats) -> None:
    """The columns of a `PriorRow` of this use case, where they stand."""
    row[_AT] = sqlite.column_int64(statement, 0)
    row[_KNOWN] = sqlite.column_int64(statement, 1)
    row[_ID] = _text(statement, 2)
    numbers[AMOUNT] = sqlite.column_double(statement, 3)
    row[_SHOP] = _text(statement, 4)
    row[_CATEGORY] = _text(statement, 5)
    lat, lon = _degrees(statement, 7), _degrees(statement, 8)
    numbers[LAT], numbers[LON] = lat, lon
    somewhere = abs(lat) < ON_EARTH and abs(lon) < ON_EARTH
    row[_REGION] = UNKNOWN if somewhere else _region(statement)
    row[_OFFSET] = sqlite.column_int64(statement, 10)


@compiled
def _ask(question: Micros, user: Bytes, first: int, second: int) -> int:
    """A statement that is ready to be stepped through."""
    statement: int = question[0]
    # the text stays where it is until the statement is reset
    sqlite.bind_text(statement, question[1], user.ctypes.data, len(user), 0)
    sqlite.bind_int64(statement, question[2], first)
    sqlite.bind_int64(statement, question[3], second)
    return statement


@compiled
def _read_rows(statement: int, code: int, most: int) -> tuple[bool, Micros, Floats]:
    """All rows, the first step having been made; False if they do not end at their end."""
    rows, numbers = np.empty((most, _WORDS), np.int64), np.empty((most, NUMBERS))
    size = 0
    while code == sqlite.ROW:
        if size == len(rows):
            rows, numbers = np.concatenate((rows, rows)), np.concatenate((numbers, numbers))
        _read_row(statement, rows[size], numbers[size])
        size += 1
        code = sqlite.step(statement)
    sqlite.reset(statement)
    return code == sqlite.DONE, rows[:size], numbers[:size]


@compiled
def _read_first(statement: int) -> tuple[bool, int, int]:
    """The earliest event time, and when the last of the rows asked for was ingested."""
    event_time, ingested_at = NEVER, 0
    code = sqlite.step(statement)
    while code == sqlite.ROW:
        event_time = min(event_time, sqlite.column_int64(statement, 0))
        ingested_at = max(ingested_at, sqlite.column_int64(statement, 1))
        code = sqlite.step(statement)
    sqlite.reset(statement)
    return code == sqlite.DONE, event_time, ingested_at


@compiled
def _any_visible(rows: Micros, begin: int, event_time: int, ingested_at: int) -> bool:
    for row in rows:  # noqa: SIM110 - numba knows no generators
        if begin <= row[_AT] < event_time and row[_KNOWN] <= ingested_at:
            return True
    return False


@compiled
def _to_block(rows: Micros, numbers: Floats, room: int) -> tuple[bool, Micros]:
    """The rows as the kernel reads them; False if two of them are one transaction."""
    size = len(rows)
    block = new_block(size, size + room)
    lines = integers_of(block)
    lines[EVENT_TIME, :size] = rows[:, _AT]
    lines[INGESTED_AT, :size] = rows[:, _KNOWN]
    lines[ID, :size] = rows[:, _ID]
    lines[SHOP, :size] = rows[:, _SHOP]
    lines[CATEGORY, :size] = rows[:, _CATEGORY]
    numbers_of(block)[:, :size] = numbers.T
    again = complete_block(block, rows[:, _OFFSET], rows[:, _REGION])
    return not again, block


@compiled
def read_past(
    questions: Micros, user: Bytes, span: tuple[int, int, int], row: tuple[int, int, int], room: int
) -> tuple[int, Micros]:
    """The block of a user's rows, with room for more, for a row at hand and what comes after it.

    `span` is where the window begins and ends, and until when a row must have been ingested;
    `row` the event time, the ingestion and the id of the row at hand.
    """
    begin, end, known = span
    event_time, ingested_at, own = row
    nothing = np.empty(0, np.int64)
    window = _ask(questions[WINDOW], user, begin, end)
    # asked in between, it shares the other's read transaction: half as many locks
    code = sqlite.step(window)
    asked, first_seen, first_known = _read_first(_ask(questions[FIRST], user, begin, known))
    read, rows, numbers = _read_rows(window, code, _FEW)
    if read and not _any_visible(rows, begin, event_time, ingested_at):
        before = _ask(questions[OLDER], user, begin, known)
        read, older, amounts = _read_rows(before, sqlite.step(before), 2)
        if (older[:, _KNOWN] > ingested_at).any():
            return UNUSUAL, nothing
        rows, numbers = np.concatenate((older, rows)), np.concatenate((amounts, numbers))
    if not (read and asked):
        return FAILED, nothing
    if first_known > ingested_at or (rows[:, _ID] == own).any():
        return UNUSUAL, nothing
    alone, block = _to_block(rows, numbers, room)
    block[FIRST_SEEN] = first_seen
    block[BEGIN] = event_time
    block[KNOWN] = ingested_at
    return (GOOD if alone else UNUSUAL), block
