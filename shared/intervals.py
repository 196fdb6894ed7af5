"""Due instants: `anchor + k * interval` for whole k, exact in calendar months and years.

The instants of an interval form a fixed grid through its anchor, so a restart, a slow run
or a missed tick never moves the schedule, and two schedulers agree on every due instant.
"""

import calendar
import re
from dataclasses import dataclass

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, to_datetime, to_micros

SUPPORTED = ("1H", "1D", "1W", "1M", "1Y")

_FIXED_US = {"H": MICROS_PER_HOUR, "D": MICROS_PER_DAY, "W": 7 * MICROS_PER_DAY}
_MONTHS = {"M": 1, "Y": 12}
_PATTERN = re.compile(r"1([HDWMY])")


@dataclass(frozen=True, slots=True)
class Interval:
    """A step between due instants: either a fixed length or whole calendar months."""

    text: str
    length_us: int = 0
    months: int = 0

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Read one of `SUPPORTED`; surrounding spaces and case do not matter.

        Raises:
            ValueError: the text is anything else.
        """
        normal = text.strip().upper()
        match = _PATTERN.fullmatch(normal)
        if match is None:
            raise ValueError(f"{text[:40]!r} is not an interval; use {', '.join(SUPPORTED)}")
        unit = match.group(1)
        if unit in _FIXED_US:
            return cls(normal, length_us=_FIXED_US[unit])
        return cls(normal, months=_MONTHS[unit])

    def instant(self, anchor_us: int, steps: int) -> int:
        """The due instant `steps` intervals after the anchor."""
        if self.months:
            return _add_months(anchor_us, self.months * steps)
        return anchor_us + self.length_us * steps


def next_due(interval: Interval, anchor_us: int, after_us: int) -> int:
    """The first due instant strictly later than `after_us`."""
    steps = _steps_until(interval, anchor_us, after_us)
    while interval.instant(anchor_us, steps) <= after_us:
        steps += 1
    return interval.instant(anchor_us, steps)


def last_due(interval: Interval, anchor_us: int, until_us: int) -> int:
    """The latest due instant at or before `until_us`."""
    steps = _steps_until(interval, anchor_us, until_us) + 1
    while interval.instant(anchor_us, steps) > until_us:
        steps -= 1
    return interval.instant(anchor_us, steps)


def is_due_instant(interval: Interval, anchor_us: int, instant_us: int) -> bool:
    """Whether an instant lies on the grid of this interval."""
    return next_due(interval, anchor_us, instant_us - 1) == instant_us


def _steps_until(interval: Interval, anchor_us: int, instant_us: int) -> int:
    """A number of steps whose due instant is at or just before the given one."""
    if not interval.months:
        return (instant_us - anchor_us) // interval.length_us
    anchor, moment = to_datetime(anchor_us), to_datetime(instant_us)
    months = (moment.year - anchor.year) * 12 + moment.month - anchor.month
    return (months - 1) // interval.months


def _add_months(anchor_us: int, months: int) -> int:
    """The same day of a later month, or that month's last day when it is shorter.

    Always counted from the anchor: 31 January gives 28 February, then 31 March.
    """
    anchor = to_datetime(anchor_us)
    years, month = divmod(anchor.month - 1 + months, 12)
    year, month = anchor.year + years, month + 1
    day = min(anchor.day, calendar.monthrange(year, month)[1])
    return to_micros(anchor.replace(year=year, month=month, day=day))
