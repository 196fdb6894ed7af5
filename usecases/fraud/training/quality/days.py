"""Day blocks: which whole days are judged, and which earlier days are the reference.

A day is a UTC day. The first day of the data and the day that is not over are never judged:
they are not whole. Where there are too few days, or too few rows a day, nothing is compared.
"""

from dataclasses import dataclass

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.clock import MICROS_PER_DAY

DAY = "day"
MIN_ROWS = 30
"""Statistics of a day with fewer rows are mostly noise."""

MIN_USUAL_DAYS = 10
JUDGED_SHARE = 3
"""At least this many whole days for each judged one: the others are the comparison."""

day_of = (pl.col("event_time") // MICROS_PER_DAY).cast(pl.Int32).alias(DAY)


@dataclass(frozen=True, slots=True)
class DaySpan:
    """Days first..last, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def holds(self, day: int) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Calendar:
    """The usual days, and right after them the judged days."""

    usual: DaySpan
    judged: DaySpan

    @property
    def whole(self) -> DaySpan:
        return DaySpan(self.usual.first, self.judged.last)


def calendar_of(
    times: pl.Series, as_of_us: int, judged_days: int, usual_days: int
) -> Calendar | None:
    """None when there are too few days to compare; `times` are sorted instants."""
    over = as_of_us // MICROS_PER_DAY
    numbers = (times // MICROS_PER_DAY).cast(pl.Int32).rle().struct.unnest()["value"]
    whole = numbers.filter((numbers > numbers[0]) & (numbers < over)) if len(numbers) else numbers
    judged = min(judged_days, len(whole) // JUDGED_SHARE)
    usual = min(usual_days, len(whole) - judged)
    if judged < 1 or usual < MIN_USUAL_DAYS:
        return None
    days = whole[-(judged + usual) :].to_list()
    return Calendar(DaySpan(days[0], days[usual - 1]), DaySpan(days[usual - 1] + 1, days[-1]))


def rows_within(ordered: Snapshot, span: DaySpan, times: pl.Series | None = None) -> Snapshot:
    """The rows of those days, without a copy; `ordered` is sorted by event_time, its `times`."""
    times = ordered["event_time"] if times is None else times
    begin = times.search_sorted(span.first * MICROS_PER_DAY)
    end = times.search_sorted((span.last + 1) * MICROS_PER_DAY)
    return ordered[begin:end]


def day_text(day: int) -> str:
    """ISO date of a day number."""
    return str(pl.Series([day], dtype=pl.Int32).cast(pl.Date)[0])
