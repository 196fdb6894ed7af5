"""Hourly counts and positives of an entity, by event time and by the time they became known.

A tile counts the rows of one merchant in one hour of event time, by the hour in which they
became known (`row`: ingested; `label`: labelled). Windows end on whole hours that closed long
enough ago for their rows to have reached the database, so the sums of one (merchant, hour)
are constant: live scoring reads and caches them, training computes the same sums in one pass.
"""

from dataclasses import dataclass
from typing import NamedTuple

from shared.clock import MICROS_PER_HOUR, MICROS_PER_SECOND

SETTLE_US = 120 * MICROS_PER_SECOND
"""The delay after which a closed hour counts; rows are stored well within it."""

DAY_HOURS = 24
WEEK_HOURS = 7 * DAY_HOURS
MONTH_HOURS = 30 * DAY_HOURS

SUMS = ("cnt_24h", "cnt_30d", "labelled_7d", "positives_7d", "labelled_30d", "positives_30d")
"""The sums of one merchant, in the order every array has them."""

Sums = tuple[int, ...]
NO_SUMS: Sums = (0,) * len(SUMS)


@dataclass(frozen=True, slots=True)
class TileWindows:
    """The lag of the label windows in whole hours: the label delay."""

    lag_hours: int

    @classmethod
    def behind(cls, label_delay_us: int) -> "TileWindows":
        return cls(lag_hours=-(-label_delay_us // MICROS_PER_HOUR))


class TileHours(NamedTuple):
    """The range of tiles that a row may see.

    Attributes:
        end: windows end at this hour of event time (exclusive).
        rows_known: rows ingested before this hour count.
        labels_known: labels known before this hour count.
    """

    end: int
    rows_known: int
    labels_known: int


def tile_hours(event_time_us: int, ingested_at_us: int) -> TileHours:
    """The tiles a row may see, by when it happened and when it came."""
    end = (event_time_us - SETTLE_US) // MICROS_PER_HOUR
    known = (ingested_at_us - SETTLE_US) // MICROS_PER_HOUR
    return TileHours(end, known, min(end, known))
