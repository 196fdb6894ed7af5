"""The shared inputs of all checks besides the rows, computed once."""

from dataclasses import dataclass

from learning.dataset.large import Workplace
from learning.dataset.scanned import ScannedRows, Snapshot

from ..policy import QualityPolicy
from .daily import Daily, Floats, daily_statistics
from .days import Calendar, calendar_of, rows_within
from .hours import counts_between


@dataclass(frozen=True, slots=True)
class Blocks:
    """The judged days, beside the reference days.

    Attributes:
        usual: rows of the usual days, in the order of time; `judged` and `both` likewise.
        daily: statistics of every day of both.
        hours: rows of every hour, (days, 24), from the first usual day to the day that is not over.
    """

    calendar: Calendar
    hours: Floats
    usual: Snapshot
    judged: Snapshot
    both: Snapshot
    daily: Daily


@dataclass(frozen=True, slots=True)
class Context:
    """The instant of the snapshot, the policy, and blocks of days if there are enough."""

    as_of_us: int
    policy: QualityPolicy
    blocks: Blocks | None


def context_of(
    snapshot: Snapshot, as_of_us: int, policy: QualityPolicy, place: Workplace | None = None
) -> Context:
    """`place` carries out tasks over a snapshot in a file."""
    ordered = _ordered(snapshot)
    times = ordered["event_time"]
    calendar = calendar_of(times, as_of_us, policy.judged_days, policy.usual_days)
    if calendar is None:
        return Context(as_of_us, policy, None)
    usual, judged, both = (
        rows_within(ordered, span, times)
        for span in (calendar.usual, calendar.judged, calendar.whole)
    )
    daily = daily_statistics(both, calendar, place)
    hours = counts_between(times, calendar.whole.first, calendar.whole.length + 1)
    return Context(as_of_us, policy, Blocks(calendar, hours, usual, judged, both, daily))


def _ordered(snapshot: Snapshot) -> Snapshot:
    if isinstance(snapshot, ScannedRows):
        # sorted by time, rows without a time first
        return snapshot[snapshot["event_time"].null_count() :]
    times = snapshot["event_time"]
    known = snapshot.filter(times.is_not_null()) if times.null_count() else snapshot
    return known if known["event_time"].is_sorted() else known.sort("event_time")
