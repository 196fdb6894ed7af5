"""Hourly counts and positives of an entity, by event time and by the time they became known.

A tile counts the rows of one merchant in one hour of event time, by the hour in which they became
known (`row`: ingested; `label`: labelled). Windows end on whole hours that closed long enough ago
for their rows to have reached the database, so the sums of one (merchant, hour) are constant: live
scoring reads and caches them, training computes the same sums in one pass.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
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


_Key = tuple[str, int, int]
"""Merchant, and the hours `end` and `rows_known`, which determine the third of `TileHours`."""


class SumsCache:
    """Sums of merchants, kept while they cannot change: closed hours seen from closed hours.

    Bounded, and safe to use from several threads; the oldest entries go first.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, Sums] = OrderedDict()
        self._newest_known = 0
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows with each invalidation."""
        return self._generation

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, merchant_id: str, event_time_us: int, ingested_at_us: int) -> Sums | None:
        """The cached sums that a row of these instants may see, if there are any."""
        end = (event_time_us - SETTLE_US) // MICROS_PER_HOUR
        rows_known = (ingested_at_us - SETTLE_US) // MICROS_PER_HOUR
        return self._entries.get((merchant_id, end, rows_known))

    def get(self, merchant_id: str, hours: TileHours, read: Callable[[], Sums]) -> Sums:
        """The cached sums, or what `read` returns; an error of `read` passes through."""
        key = (merchant_id, hours.end, hours.rows_known)
        found = self._entries.get(key)
        if found is not None:
            return found
        generation = self._generation
        sums = read()
        with self._lock:
            # sums read before an invalidation must not be cached after it
            if generation == self._generation:
                self._keep(key, sums)
        return sums

    def put(self, sums: Mapping[tuple[str, TileHours], Sums], generation: int) -> None:
        """Keep sums that were read since this generation, if nothing was invalidated since."""
        with self._lock:
            if generation == self._generation:
                for (merchant_id, hours), each in sums.items():
                    self._keep((merchant_id, hours.end, hours.rows_known), each)

    def invalidate(self, known_hour: int) -> None:
        """Something that became known in this hour has only now been stored."""
        with self._lock:
            self._generation += 1
            if known_hour < self._newest_known:
                self._entries.clear()
                self._newest_known = 0

    def _keep(self, key: _Key, sums: Sums) -> None:
        self._entries[key] = sums
        self._newest_known = max(self._newest_known, key[2])
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
