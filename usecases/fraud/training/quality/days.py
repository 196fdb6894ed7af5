"""Days: which are judged beside which, how their hours look, and when one of them stands out.

A day is a UTC day. The first day of the data and the day that is not over are never judged:
they are not whole. Where there are too few days, or too few rows a day, nothing is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from learning.dataset.scanned import Snapshot
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR

Floats = npt.NDArray[np.float64]

DAY = "day"
MIN_ROWS = 30
"""Statistics of a day with fewer rows are mostly noise."""

MIN_USUAL_DAYS = 10
JUDGED_SHARE = 3
"""At least this many whole days for each judged one: the others are the comparison."""

day_of = (pl.col("event_time") // MICROS_PER_DAY).cast(pl.Int32).alias(DAY)

HOURS = 24

Mask = npt.NDArray[np.bool_]
SPREADS = 8.0
"""The threshold in robust standard deviations; 3 would be a normal day where days are correlated.
"""

_MAD_TO_SIGMA = 1.4826


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


def counts_between(times: pl.Series, first_day: int, days: int) -> Floats:
    """(days, 24) counts of the days from `first_day` on; `times` are sorted instants."""
    first = first_day * HOURS
    # a history is far longer than these days
    begin, end = (
        times.search_sorted(hour * MICROS_PER_HOUR) for hour in (first, first + days * HOURS)
    )
    hours = (times[begin:end] // MICROS_PER_HOUR).to_numpy() - first
    counts = np.bincount(hours, minlength=days * HOURS).astype(np.float64)
    return counts.reshape(days, HOURS)


def hourly_counts(times: pl.Series, days: npt.NDArray[np.int32]) -> Floats:
    """(len(days), 24) counts of these days."""
    if not len(days):
        return np.zeros((0, HOURS))
    first = int(days[0])
    counts: Floats = counts_between(times, first, int(days[-1]) - first + 1)[days - first]
    return counts


def stands_out(judged: Floats, usual: Floats, floor: float) -> Mask:
    """Farther from the usual median than the floor and than the days' own spread allows."""
    known = usual[~np.isnan(usual)]
    if not len(known):
        return np.zeros(len(judged), dtype=np.bool_)
    centre = np.median(known)
    spread = _MAD_TO_SIGMA * np.median(np.abs(known - centre))
    with np.errstate(invalid="ignore"):
        far: Mask = np.abs(judged - centre) > max(floor, SPREADS * float(spread))
    return far


def middle(values: Floats) -> float:
    """The median of what is known, NaN when nothing is."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan


def hit_days(judged: pl.DataFrame, hit: Mask) -> list[int]:
    """Day numbers of the rows of a daily table that were hit."""
    days: list[int] = judged[DAY].filter(pl.Series(hit)).to_list()
    return days


def on_days(days: Sequence[int]) -> str:
    """`on 2026-01-03` or `on 4 days from 2026-01-03 to 2026-01-06`."""
    first, last = min(days), max(days)
    if first == last:
        return f"on {day_text(first)}"
    return f"on {len(days)} days from {day_text(first)} to {day_text(last)}"
