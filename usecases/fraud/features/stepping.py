"""A user's past from SQLite to the kernel's memory in compiled code, without an object a row."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from native import sqlite_calls as sqlite
from native.compiled import compiled
from native.text_hash import text_hash

from .layout import (
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
    MOST,
    NEVER,
    NUMBERS,
    SHOP,
    UNKNOWN,
    Floats,
    Micros,
)
from .rows import (
    OF_DEVICE,
    ON_EARTH,
    complete_block,
    integers_of,
    new_block,
    numbers_of,
)

Bytes = npt.NDArray[np.uint8]
Lines = npt.NDArray[Any]
Past = tuple[Micros, Floats]

GOOD, UNUSUAL, FAILED = range(3)
"""The outcome: a block; rows that need the slow path; no answer."""

WINDOW, OLDER, FIRST = range(3)
"""The questions, each a line: address of the statement, numbers of its three parameters, and
of the number of rows that are wanted, where it has one."""

AT, KNOWN_AT, ROW_ID, ROW_SHOP, ROW_CATEGORY, ROW_OFFSET, ROW_REGION, WORDS = range(8)
FEW = 64


@compiled
def _code(text: int, length: int) -> int:
    """The code of a column's text; the text has no address if the column is null."""
    return UNKNOWN if text == 0 else text_hash(text, length)


@compiled
def _degrees(statement: int, column: int) -> float:
    degrees: float = sqlite.column_double(statement, column)
    if degrees == 0.0 and sqlite.column_type(statement, column) == sqlite.NULL:
        return math.nan
    return degrees


@compiled
def _region(statement: int) -> int:
    country = _code(sqlite.column_text(statement, 6), sqlite.column_bytes(statement, 6))
    if country != UNKNOWN:
        return country
    device = _code(sqlite.column_text(statement, 9), sqlite.column_bytes(statement, 9))
    return UNKNOWN if device == UNKNOWN else device ^ OF_DEVICE


@compiled
def _read_row(statement: int, row: Micros, numbers: Floats) -> None:
    """The columns of a `PriorRow` of this use case, where they stand."""
    row[AT] = sqlite.column_int64(statement, 0)
    row[KNOWN_AT] = sqlite.column_int64(statement, 1)
    row[ROW_ID] = _code(sqlite.column_text(statement, 2), sqlite.column_bytes(statement, 2))
    numbers[AMOUNT] = sqlite.column_double(statement, 3)
    row[ROW_SHOP] = _code(sqlite.column_text(statement, 4), sqlite.column_bytes(statement, 4))
    row[ROW_CATEGORY] = _code(sqlite.column_text(statement, 5), sqlite.column_bytes(statement, 5))
    lat, lon = _degrees(statement, 7), _degrees(statement, 8)
    numbers[LAT], numbers[LON] = lat, lon
    somewhere = abs(lat) < ON_EARTH and abs(lon) < ON_EARTH
    row[ROW_REGION] = UNKNOWN if somewhere else _region(statement)
    row[ROW_OFFSET] = sqlite.column_int64(statement, 10)


@compiled
def _ask(question: Micros, user: Bytes, first: int, second: int) -> int:
    """A statement that is ready to be stepped through."""
    statement: int = question[0]
    # SQLITE_STATIC: the text stays in place until the statement is reset
    sqlite.bind_text(statement, question[1], user.ctypes.data, len(user), 0)
    sqlite.bind_int64(statement, question[2], first)
    sqlite.bind_int64(statement, question[3], second)
    return statement


# explicit loops: numpy's function would add seconds of compile time
@compiled
def doubled(lines: Lines) -> Lines:
    """A copy of twice the length."""
    longer = np.empty((2 * len(lines), lines.shape[1]), lines.dtype)
    for i in range(len(lines)):
        for j in range(lines.shape[1]):
            longer[i, j] = lines[i, j]
    return longer


@compiled
def _read_rows(statement: int, code: int) -> tuple[bool, Micros, Floats]:
    """All rows, the first step having been made; False if they do not end at their end."""
    rows, numbers = np.empty((FEW, WORDS), np.int64), np.empty((FEW, NUMBERS))
    size = 0
    while code == sqlite.ROW:
        if size == len(rows):
            rows, numbers = doubled(rows), doubled(numbers)
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
def any_visible(rows: Micros, begin: int, event_time: int, ingested_at: int) -> bool:
    for row in rows:  # noqa: SIM110 - numba knows no generators
        if begin <= row[AT] < event_time and row[KNOWN_AT] <= ingested_at:
            return True
    return False


@compiled
def _any_after(rows: Micros, ingested_at: int) -> bool:
    for row in rows:  # noqa: SIM110 - numba knows no generators
        if row[KNOWN_AT] > ingested_at:
            return True
    return False


@compiled
def count_visible(rows: Micros, event_time: int, ingested_at: int) -> int:
    visible = 0
    for row in rows:
        visible += row[AT] < event_time and row[KNOWN_AT] <= ingested_at
    return visible


@compiled
def _has(rows: Micros, transaction_id: int) -> bool:
    for row in rows:  # noqa: SIM110 - numba knows no generators
        if row[ROW_ID] == transaction_id:
            return True
    return False


@compiled
def _put_line(lines: Micros, reals: Floats, at: int, row: Micros, numbers: Floats) -> None:
    lines[EVENT_TIME, at] = row[AT]
    lines[INGESTED_AT, at] = row[KNOWN_AT]
    lines[ID, at] = row[ROW_ID]
    lines[SHOP, at] = row[ROW_SHOP]
    lines[CATEGORY, at] = row[ROW_CATEGORY]
    for line in range(NUMBERS):
        reals[line, at] = numbers[line]


@compiled
def _to_block(older: Past, recent: Past, room: int) -> tuple[bool, Micros]:
    """The rows as the kernel reads them; False if two of them are one transaction."""
    size = len(older[0]) + len(recent[0])
    block = new_block(size, size + room)
    lines, reals = integers_of(block), numbers_of(block)
    offsets, regions = np.empty(size, np.int64), np.empty(size, np.int64)
    at = 0
    for rows, numbers in (older, recent):
        for i in range(len(rows) - 1, -1, -1):  # reversed: rows are read newest first
            _put_line(lines, reals, at, rows[i], numbers[i])
            offsets[at], regions[at] = rows[i, ROW_OFFSET], rows[i, ROW_REGION]
            at += 1
    again = complete_block(block, offsets, regions)
    return not again, block


@compiled
def block_of(
    older: Past,
    recent: Past,
    first: tuple[int, int],
    row: tuple[int, int, int],
    most: tuple[int, int, int],
) -> tuple[int, Micros]:
    """The block of rows that were read newest first, if it lasts for later rows, too.

    `first` is the earliest event time before these rows, and the last ingestion of those asked for.
    """
    event_time, ingested_at, own = row
    waiting = first[1] > ingested_at or _any_after(older[0], ingested_at)
    if waiting or _has(recent[0], own) or _has(older[0], own):
        return UNUSUAL, np.empty(0, np.int64)
    unique, block = _to_block(older, recent, most[2])
    block[FIRST_SEEN] = first[0]
    block[BEGIN] = event_time
    block[KNOWN] = ingested_at
    block[MOST] = most[0]
    return (GOOD if unique else UNUSUAL), block


@compiled
def _first(questions: Micros, user: Bytes, end: int, known: int) -> tuple[bool, int, int]:
    return _read_first(_ask(questions[FIRST], user, end, known))


@compiled
def read_past(
    questions: Micros,
    user: Bytes,
    span: tuple[int, int, int],
    row: tuple[int, int, int],
    most: tuple[int, int, int],
) -> tuple[int, Micros]:
    """The block of a user's rows, with room for later rows, for the current row and later ones.

    `span` is where the window begins and ends, and until when a row must have been ingested;
    `row` the event time, the ingestion and the id of the current row; `most` how many prior rows
    count, how many to read, and the number of places for later rows.
    """
    begin, end, known = span
    event_time, ingested_at, _ = row
    nothing = np.empty(0, np.int64)
    window = _ask(questions[WINDOW], user, begin, end)
    sqlite.bind_int64(window, questions[WINDOW, 4], most[1])
    # run while the other statement is open, it shares its read transaction: half as many locks
    code = sqlite.step(window)
    asked, first_seen, first_known = _first(questions, user, begin, known)
    read, rows, numbers = _read_rows(window, code)
    older, amounts = rows[:0], numbers[:0]
    if len(rows) == most[1]:
        # there are older rows: usual only if enough of the newest ones are visible
        if count_visible(rows, event_time, ingested_at) < most[0]:
            return UNUSUAL, nothing
        end_of_older = rows[len(rows) - 1, AT] + 1
        asked, first_seen, first_known = _first(questions, user, end_of_older, known)
    elif read and not any_visible(rows, begin, event_time, ingested_at):
        before = _ask(questions[OLDER], user, begin, known)
        read, older, amounts = _read_rows(before, sqlite.step(before))
    if not (read and asked):
        return FAILED, nothing
    first = (first_seen, first_known)
    return block_of((older, amounts), (rows, numbers), first, row, most)
