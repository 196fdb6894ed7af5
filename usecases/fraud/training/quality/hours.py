"""Rows counted by hour: what the rhythm of a day and its holes are seen in."""

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.clock import MICROS_PER_HOUR

from .daily import Floats

HOURS = 24


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
