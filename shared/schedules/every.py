"""A step of months, days and hours, repeated from an anchor: `anchor + k * step`.

The instants form a fixed grid, so a restart, a slow run or a missed tick never moves the
schedule, and two schedulers agree on every due instant. Months and days are counted on the
wall clock of the zone, hours in elapsed time.
"""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from shared.clock import MICROS_PER_DAY
from shared.schedules.walltime import UTC_ZONE, instant_of, wall_time

_DAYS_PER_MONTH = 365.2425 / 12


@dataclass(frozen=True, slots=True)
class Every:
    """One step of the grid.

    Attributes:
        starts: a wall time of the grid; without one it is the anchor that is given.
    """

    months: int = 0
    days: int = 0
    length_us: int = 0
    zone: ZoneInfo = UTC_ZONE
    starts: datetime | None = None

    def next_due(self, anchor_us: int, after_us: int) -> int:
        start = self._start(anchor_us)
        return self._instant(start, self._last_step(start, after_us) + 1)

    def _start(self, anchor_us: int) -> int:
        return anchor_us if self.starts is None else instant_of(self.starts, self.zone)

    def _last_step(self, start_us: int, until_us: int) -> int:
        """The number of the last step that is not later than an instant."""
        steps = int((until_us - start_us) // self._usual_length_us())
        while self._instant(start_us, steps) > until_us:
            steps -= 1
        while self._instant(start_us, steps + 1) <= until_us:
            steps += 1
        return steps

    def _usual_length_us(self) -> float:
        days = self.months * _DAYS_PER_MONTH + self.days
        return days * MICROS_PER_DAY + self.length_us

    def _instant(self, start_us: int, steps: int) -> int:
        if not self.months and not self.days:
            return start_us + steps * self.length_us
        wall = _add_months(self._wall_start(start_us), steps * self.months)
        wall += timedelta(days=steps * self.days)
        return instant_of(wall, self.zone) + steps * self.length_us

    def _wall_start(self, start_us: int) -> datetime:
        return wall_time(start_us, self.zone) if self.starts is None else self.starts


def _add_months(wall: datetime, months: int) -> datetime:
    """The same day of a later month, or that month's last day when it is shorter.

    Always counted from the anchor: 31 January gives 28 February, then 31 March.
    """
    years, month = divmod(wall.month - 1 + months, 12)
    year, month = wall.year + years, month + 1
    return wall.replace(
        year=year, month=month, day=min(wall.day, calendar.monthrange(year, month)[1])
    )
