"""The sums of `shared.features.tiles` for every row of a table, in one pass over sorted tiles."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from native.compiled import compiled
from shared.clock import MICROS_PER_HOUR
from shared.features.tiles import DAY_HOURS, MONTH_HOURS, SETTLE_US, SUMS, WEEK_HOURS, TileWindows

_SMALL = 20_000


def in_chunks(total: int, work: Callable[[int, int], None]) -> None:
    """Call `work(start, stop)` so that every row of [0, total) is covered once."""
    workers = os.cpu_count() or 1
    if total <= _SMALL or workers == 1:
        work(0, total)
        return
    # more chunks than workers: histories differ in length, and workers should not wait for the
    # longest chunk
    bounds = [total * part // (workers * 4) for part in range(workers * 4 + 1)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


Ints = npt.NDArray[np.int64]


class TileColumns(NamedTuple):
    """The columns from which a table's tiles are computed, one line a row.

    Attributes:
        merchant: small non-negative codes.
        label: 0, 1, or -1 where it is not known; then `label_known_at` is ignored.
    """

    merchant: npt.NDArray[np.int32]
    event_time: Ints
    ingested_at: Ints
    label: npt.NDArray[np.int8]
    label_known_at: Ints


class _Tiles(NamedTuple):
    """Tiles in (merchant, event hour) order; a merchant's lie at [offsets[m], offsets[m + 1])."""

    offsets: Ints
    event_hour: Ints
    known_hour: Ints
    rows: Ints
    positives: Ints


class _Views(NamedTuple):
    """The tile hours visible to each row, in (merchant, end, rows_known) order."""

    line: Ints
    merchant: npt.NDArray[np.int32]
    end: Ints
    rows_known: Ints


def sums_as_of(columns: TileColumns, windows: TileWindows) -> Ints:
    """The sums of each row's merchant as that row could see them, (rows, 6) in given order."""
    event_hour = columns.event_time // MICROS_PER_HOUR
    count = int(columns.merchant.max(initial=-1)) + 1
    come = _tiles(
        columns.merchant, event_hour, columns.ingested_at // MICROS_PER_HOUR, columns.label, count
    )
    on = columns.label >= 0
    labelled = _tiles(
        columns.merchant[on],
        event_hour[on],
        columns.label_known_at[on] // MICROS_PER_HOUR,
        columns.label[on],
        count,
    )
    views = _views(columns)
    sums = np.zeros((len(views.line), len(SUMS)), dtype=np.int64)

    def work(start: int, stop: int) -> None:
        _fill(views, come, labelled, (windows.lag_hours, start, stop), sums)

    in_chunks(len(views.line), work)
    return sums


def _views(columns: TileColumns) -> _Views:
    end = (columns.event_time - SETTLE_US) // MICROS_PER_HOUR
    known = (columns.ingested_at - SETTLE_US) // MICROS_PER_HOUR
    line = np.lexsort((known, end, columns.merchant))
    return _Views(line, columns.merchant[line], end[line], known[line])


def _tiles(
    merchant: npt.NDArray[np.int32],
    event_hour: Ints,
    known_hour: Ints,
    label: npt.NDArray[np.int8],
    count: int,
) -> _Tiles:
    order = np.lexsort((known_hour, event_hour, merchant))
    merchant, event_hour, known_hour = merchant[order], event_hour[order], known_hour[order]
    changes = (np.diff(merchant) != 0) | (np.diff(event_hour) != 0) | (np.diff(known_hour) != 0)
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))[: len(order)]
    positives = np.concatenate(([0], np.cumsum(label[order] == 1)))
    ends = np.append(starts[1:], len(order))[: len(starts)]
    return _Tiles(
        np.searchsorted(merchant[starts], np.arange(count + 1)),
        event_hour[starts],
        known_hour[starts],
        ends - starts,
        positives[ends] - positives[starts],
    )


@compiled
def _first_at(tiles: _Tiles, merchant: int, hour: int) -> int:
    """The merchant's first tile at or after an hour."""
    low: int = tiles.offsets[merchant]
    high: int = tiles.offsets[merchant + 1]
    while low < high:
        middle = (low + high) // 2
        if tiles.event_hour[middle] < hour:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _sum(tiles: _Tiles, merchant: int, begin: int, end: int, known: int) -> tuple[int, int]:
    """Rows and positives at [begin, end) that were known before an hour."""
    rows = positives = 0
    for i in range(_first_at(tiles, merchant, begin), tiles.offsets[merchant + 1]):
        if tiles.event_hour[i] >= end:
            break
        if tiles.known_hour[i] < known:
            rows += tiles.rows[i]
            positives += tiles.positives[i]
    return rows, positives


@compiled
def _fill(
    views: _Views, come: _Tiles, labelled: _Tiles, span: tuple[int, int, int], sums: Ints
) -> None:
    lag, start, stop = span
    for i in range(start, stop):
        out = sums[views.line[i]]
        merchant, end, known = views.merchant[i], views.end[i], views.rows_known[i]
        again = i > start and merchant == views.merchant[i - 1]
        if again and end == views.end[i - 1] and known == views.rows_known[i - 1]:
            out[:] = sums[views.line[i - 1]]
            continue
        late = end - lag
        both = min(end, known)
        out[0] = _sum(come, merchant, end - DAY_HOURS, end, known)[0]
        out[1] = _sum(come, merchant, late - MONTH_HOURS, late, known)[0]
        out[2], out[3] = _sum(labelled, merchant, late - WEEK_HOURS, late, both)
        out[4], out[5] = _sum(labelled, merchant, late - MONTH_HOURS, late, both)
