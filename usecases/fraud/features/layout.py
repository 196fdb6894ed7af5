"""The memory layout the kernel reads: columns of past rows, the row at hand, lent scratch space."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Micros = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Buckets = npt.NDArray[np.int8]
Out = npt.NDArray[np.float32]

UNKNOWN = -1
"""The code of text that was not given; it equals nothing."""

NEVER = np.iinfo(np.int64).max
"""`first_seen` of a user who has no row outside the given history."""


class History(NamedTuple):
    """Rows of users, each user's in (event_time, ingested_at, transaction_id) order.

    Codes stand for text and are compared for equality only; merchant codes are small, for
    they index scratch memory. `bucket` is the three hours of the local day, 0 to 7.
    """

    event_time: Micros
    ingested_at: Micros
    bucket: Buckets
    amount: Floats
    merchant: Codes
    category: Codes
    location: Codes
    lat: Floats
    lon: Floats


class Row(NamedTuple):
    """The row whose features are wanted, and where its past is.

    Attributes:
        begin: the user's rows lie at [begin, end) of the history; rows that are not strictly
            earlier, or were not ingested yet, may be among them.
        first_seen: the same as in `Table`.
        sums: of the merchant, in the order of `shared.features.tiles.SUMS`.
    """

    begin: int
    end: int
    first_seen: int
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


class Scratch(NamedTuple):
    """Memory a caller lends, zeroed before its first use.

    Attributes:
        seen: room for the longest history of one user.
        stamps: a cell for every merchant code.
    """

    seen: Micros
    stamps: Micros


class Table(NamedTuple):
    """A history with what its rows need besides: many users, or one whose last row is new.

    Attributes:
        begins: where the history of each row's user begins.
        first_seen: the earliest visible row of the user that is not in the history, or NEVER.
        targets: the line of `sums`, and of the output, that belongs to each row.
    """

    history: History
    begins: Micros
    first_seen: int
    offset_min: Micros
    home_lat: Floats
    home_lon: Floats
    sums: Micros
    targets: Micros


class Totals(NamedTuple):
    """Counts and sums of the amounts in [t - window, t)."""

    cnt_10m: int
    cnt_1h: int
    cnt_24h: int
    cnt_7d: int
    cnt_30d: int
    sum_1h: float
    sum_24h: float
    sum_7d: float
    sum_30d: float
