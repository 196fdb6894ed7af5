"""The memory layouts the kernel reads: columns of past rows, and the current row."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Micros = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Out = npt.NDArray[np.float32]

UNKNOWN = -1
"""The code of text that was not given; it equals nothing."""

NEVER = np.iinfo(np.int64).max
"""`first_seen` of a user who has no row outside the given history."""

EVENT_TIME, INGESTED_AT, ID, BUCKET, MERCHANT, SHOP, CATEGORY, PLACE, STAMPS = range(9)
"""Lines of one user's integers. ID, SHOP (the merchant), CATEGORY and PLACE are hashes of text,
whose equality stands for that of the text; MERCHANT is where the user met that merchant first."""

AMOUNT, LAT, LON = range(3)
"""Lines of one user's numbers."""

INTEGERS, NUMBERS = 9, 3

SIZE, ROOM, BEGIN, KNOWN, FIRST_SEEN, STAMP, LAST_EVENT, LAST_INGESTED, MOST, HEADER = range(10)
"""The header of a user's block: row count and capacity, the instants from which it is valid for new
rows, `first_seen` and the last `stamp` of `Rest`, the last row's instants, and how many prior rows
count at most. Then come the integers and the numbers, each line with room for ROOM rows.
"""

VOID = -1
"""A SIZE: the rows are no longer all there are."""


class History(NamedTuple):
    """Rows of users, each user's in (event_time, ingested_at, transaction_id) order.

    Codes stand for text and are compared for equality only; merchant codes are small, for
    they index scratch memory. `bucket` is the three hours of the local day, 0 to 7.
    """

    event_time: Micros
    ingested_at: Micros
    bucket: npt.NDArray[np.integer]
    amount: Floats
    merchant: npt.NDArray[np.integer]
    category: npt.NDArray[np.integer]
    location: npt.NDArray[np.integer]
    lat: Floats
    lon: Floats


class Rest(NamedTuple):
    """The facts about the current row besides its line of the history.

    Attributes:
        first_seen: the earliest visible row of the user that is not in the history, or NEVER.
        stamp: a number no earlier row has used with the same scratch memory; not 0.
        sums: of the merchant, in the order of `shared.features.tiles.SUMS`.
        most: how many prior rows count at most, the newest ones.
    """

    first_seen: int
    stamp: int
    sums: Micros
    offset_min: int
    home_lat: float
    home_lon: float
    most: int


class TargetRow(NamedTuple):
    """The row whose features are wanted, and where its past is.

    Attributes:
        begin: the user's rows lie at [begin, end) of the history; rows that are not strictly
            earlier, or were not ingested yet, may be among them.
        first_seen: this and what follows: the same as in `Rest`.
    """

    begin: int
    end: int
    first_seen: int
    stamp: int
    sums: Micros
    event_time: int
    ingested_at: int
    offset_min: int
    bucket: int
    amount: float
    merchant: int
    category: int
    location: int
    lat: float
    lon: float
    home_lat: float
    home_lon: float
    most: int


class HistoryTable(NamedTuple):
    """A history of many users with what its rows need besides.

    Attributes:
        begins: where the history of each row's user begins.
        targets: the line of `sums`, and of the output, that belongs to each row.
        most: how many prior rows count at most, for every row.
    """

    history: History
    begins: Micros
    offset_min: Micros
    home_lat: Floats
    home_lon: Floats
    sums: Micros
    targets: Micros
    most: int


class Walk(NamedTuple):
    """The result of one pass over the newest `most` visible rows of the last 30 days.

    Attributes:
        previous: the newest visible row of any age, or -1.
        cnt_10m: this and what follows: rows, then amounts, in [t - window, t).
        same_bucket: this and what follows: rows that share it with the current row.
        merchants_24h: different merchants.
    """

    previous: int
    cnt_10m: int
    cnt_1h: int
    cnt_24h: int
    cnt_7d: int
    cnt_30d: int
    sum_1h: float
    sum_24h: float
    sum_7d: float
    sum_30d: float
    largest: float
    same_bucket: int
    same_merchant: int
    same_category: int
    same_location: int
    merchants_24h: int
    merchants_30d: int
