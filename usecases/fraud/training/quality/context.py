"""The shared inputs of all checks besides the rows, computed once."""

from dataclasses import dataclass

import polars as pl

from ..policy import QualityPolicy
from .daily import Daily, daily_statistics
from .days import Calendar, calendar_of, rows_within


@dataclass(frozen=True, slots=True)
class Blocks:
    """The judged days, beside the reference days.

    Attributes:
        usual: rows of the usual days, in the order of time; `judged` likewise.
        daily: statistics of every day of both.
        times: instants of all rows, also of the day that is not over, in order.
    """

    calendar: Calendar
    times: pl.Series
    usual: pl.DataFrame
    judged: pl.DataFrame
    daily: Daily


@dataclass(frozen=True, slots=True)
class Context:
    """The instant of the snapshot, the policy, and blocks of days if there are enough."""

    as_of_us: int
    policy: QualityPolicy
    blocks: Blocks | None


def context_of(snapshot: pl.DataFrame, as_of_us: int, policy: QualityPolicy) -> Context:
    ordered = _ordered(snapshot)
    times = ordered["event_time"]
    calendar = calendar_of(times, as_of_us, policy.judged_days, policy.usual_days)
    if calendar is None:
        return Context(as_of_us, policy, None)
    usual = rows_within(ordered, calendar.usual)
    judged = rows_within(ordered, calendar.judged)
    daily = daily_statistics(rows_within(ordered, calendar.whole), calendar)
    return Context(as_of_us, policy, Blocks(calendar, times, usual, judged, daily))


def _ordered(snapshot: pl.DataFrame) -> pl.DataFrame:
    times = snapshot["event_time"]
    known = snapshot.filter(times.is_not_null()) if times.null_count() else snapshot
    return known if known["event_time"].is_sorted() else known.sort("event_time")
