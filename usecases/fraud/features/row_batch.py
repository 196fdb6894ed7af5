"""Computes features of rows that arrived together, one after the other, in one compiled call.

Every row names the block of its user. It is written behind the block's last row, its features are
computed from the rows before it, and it becomes history for the next row of that user. A row that
its block cannot handle is returned to the caller, and the block becomes void, as it does when it is
full: later rows of that user are returned as well, so that each user's rows keep their order.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from native.catalogue import RAW_ADDRESSES
from native.compiled import compiled_briefly
from native.pointers import integers_at

from .catalogue import KERNEL_FEATURES
from .kernel import fill_last
from .layout import (
    AMOUNT,
    BEGIN,
    CATEGORY,
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
    MOST,
    NUMBERS,
    ROOM,
    SIZE,
    STAMP,
    VOID,
    Floats,
    Micros,
    Out,
    Rest,
)
from .rows import complete, integers_of, meet, numbers_of

LINE, ROW_EVENT, ROW_INGESTED, ROW_ID, ROW_OFFSET, ROW_SHOP, ROW_CATEGORY, ROW_REGION, SUMS = range(
    9
)
"""A row as 64-bit words; LINE is where its features go, SUMS are six."""

ROW_AMOUNT, ROW_LAT, ROW_LON, ROW_HOME_LAT, ROW_HOME_LON = range(14, 19)
"""Offsets of the doubles, which follow."""

ROW_CODES, CODES = 19, 4
"""Offsets of the codes of categories, which are features as they are."""

WORDS = ROW_CODES + CODES
FORMAT = "14q9d"

_UNTOLD = 0
"""Replaces the address of a block that could not compute a row."""

TELL, ADD = 1, 2
"""The operations on a row, combinable: compute its features, and add it to the history."""


Told = npt.NDArray[np.bool_]


class Holder(Protocol):
    """Holds a user's block, which starts at this address."""

    @property
    def address(self) -> int: ...

    @property
    def block(self) -> Micros: ...


def take_at_addresses(
    holders: Sequence[Holder], rows: Micros, wanted: int, out: Out
) -> Told | None:
    """Compute rows in order, each with the block of its user; None if all are done.

    Otherwise returns which rows were computed; some blocks may be void.
    """
    addresses = np.array([holder.address for holder in holders], dtype=np.int64)
    if _take(addresses, rows, wanted, out):
        return None
    told: Told = addresses != _UNTOLD
    return told


def take_blocks(holders: Sequence[Holder], rows: Micros, wanted: int, out: Out) -> Told | None:
    """The same by a call for each row."""
    numbers = rows.view(np.float64)
    computed = np.empty(len(holders), dtype=np.bool_)
    all_well = True
    for at, holder in enumerate(holders):
        computed[at] = _take_row(holder.block, rows[at], numbers[at], wanted, out)
        all_well = all_well and bool(computed[at]) and holder.block[SIZE] != VOID
    return None if all_well else computed


take = take_at_addresses if RAW_ADDRESSES.in_use else take_blocks


@compiled_briefly
def _take(addresses: Micros, rows: Micros, wanted: int, out: Out) -> bool:
    """True if all are done; else some addresses are _UNTOLD, or some blocks void."""
    numbers = rows.view(np.float64)
    all_well = True
    for i in range(len(addresses)):
        room = integers_at(addresses[i], HEADER)[ROOM]
        block = integers_at(addresses[i], HEADER + (INTEGERS + NUMBERS) * room)
        computed = _take_row(block, rows[i], numbers[i], wanted, out)
        all_well = all_well and computed and block[SIZE] != VOID
        if not computed:
            addresses[i] = _UNTOLD
    return all_well


@compiled_briefly
def _take_row(block: Micros, row: Micros, numbers: Floats, wanted: int, out: Out) -> bool:
    at = block[SIZE]
    if at == VOID:
        return False
    integers = integers_of(block)
    # rows from before the block was created are not in it, but may be part of its history
    covered = row[ROW_EVENT] >= block[BEGIN] and row[ROW_INGESTED] >= block[KNOWN]
    fits = (covered or wanted == ADD) and not _among(integers[ID], at, row[ROW_ID])
    if fits:
        _place(integers, numbers_of(block), at, row, numbers)
        if wanted & TELL:
            _tell(block, row, numbers, out[row[LINE]])
    if wanted & ADD:
        _add(block, row, fits)
    return fits


@compiled_briefly
def _among(ids: Micros, size: int, transaction_id: int) -> bool:
    found = False
    for j in range(size):  # no early exit, so that the loop is vectorised
        found |= ids[j] == transaction_id
    return found


@compiled_briefly
def _place(integers: Micros, numbers: Floats, at: int, row: Micros, real: Floats) -> None:
    integers[EVENT_TIME, at] = row[ROW_EVENT]
    integers[INGESTED_AT, at] = row[ROW_INGESTED]
    integers[ID, at] = row[ROW_ID]
    integers[CATEGORY, at] = row[ROW_CATEGORY]
    numbers[AMOUNT, at] = real[ROW_AMOUNT]
    numbers[LAT, at] = real[ROW_LAT]
    numbers[LON, at] = real[ROW_LON]
    meet(integers, at, row[ROW_SHOP])
    complete(integers, numbers, at, row[ROW_OFFSET], row[ROW_REGION])


@compiled_briefly
def _tell(block: Micros, row: Micros, real: Floats, out: Out) -> None:
    block[STAMP] += 1
    rest = Rest(block[FIRST_SEEN], block[STAMP], row[SUMS : SUMS + 6], row[ROW_OFFSET],
                real[ROW_HOME_LAT], real[ROW_HOME_LON], block[MOST])  # fmt: skip
    fill_last(integers_of(block), numbers_of(block), block[SIZE], rest, out)
    for code in range(CODES):
        out[KERNEL_FEATURES + code] = real[ROW_CODES + code]


@compiled_briefly
def _add(block: Micros, row: Micros, placed: bool) -> None:
    """Make the row placed last one of the past, if it comes last."""
    event_time, ingested_at = row[ROW_EVENT], row[ROW_INGESTED]
    later = event_time > block[LAST_EVENT]
    if event_time == block[LAST_EVENT]:
        later = ingested_at > block[LAST_INGESTED]
    if not (placed and later):
        block[SIZE] = VOID
        return
    block[SIZE] += 1
    block[LAST_EVENT], block[LAST_INGESTED] = event_time, ingested_at
