"""Rules that say when something is due: calendar steps and cron expressions, in a time zone.

`Every` repeats a step of months, days and hours from an anchor: `anchor + k * step`. Its instants
form a fixed grid; months and days are counted on the wall clock of the zone, hours in elapsed time.
`Cron` has its usual meaning: Sunday is 0 and 7, months are calendar months. cronsim reads the
expression and walks the wall clock; only a job of every hour is walked in elapsed time: it runs in
the hour that comes twice, both times.

What a clock change does to a wall time is decided in one place for all rules: one that is skipped
in spring is read with the offset before the jump (02:30 becomes 03:30), one that comes twice in
autumn is its first occurrence: RFC 5545, section 3.3.5. So a daily job is due once on each of these
days too.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from shared.clock import MICROS_PER_DAY, to_datetime, to_micros


class ScheduleRule(Protocol):
    """Due instants in microseconds; `anchor_us` is the start of a rule without an anchor."""

    def next_due(self, anchor_us: int, after_us: int) -> int:
        """The first due instant strictly later than `after_us`."""
        ...


UTC_ZONE = ZoneInfo("UTC")
# Zone changes are an hour today; the largest in history was a day.
_WIDEST_JUMP = timedelta(hours=24)


def find_zone(name: str) -> ZoneInfo:
    """The zone of the IANA database with this name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name[:40]!r} is not a time zone; use a name like Europe/Paris or UTC"
        ) from error


def _wall_time(instant_us: int, zone: ZoneInfo) -> datetime:
    """The local wall time: a datetime without a zone."""
    return to_datetime(instant_us).astimezone(zone).replace(tzinfo=None, fold=0)


def _instant_of(wall: datetime, zone: ZoneInfo) -> int:
    """The instant of a wall time."""
    return to_micros(wall.replace(tzinfo=zone, fold=0).astimezone(UTC))


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
        return anchor_us if self.starts is None else _instant_of(self.starts, self.zone)

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
        return _instant_of(wall, self.zone) + steps * self.length_us

    def _wall_start(self, start_us: int) -> datetime:
        return _wall_time(start_us, self.zone) if self.starts is None else self.starts


def _add_months(wall: datetime, months: int) -> datetime:
    """The same day of a later month, or that month's last day when it is shorter.

    Always counted from the anchor: 31 January gives 28 February, then 31 March.
    """
    years, month = divmod(wall.month - 1 + months, 12)
    year, month = wall.year + years, month + 1
    return wall.replace(
        year=year, month=month, day=min(wall.day, calendar.monthrange(year, month)[1])
    )


_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS, _HOURS = 5, 24
_DAY_FIELDS = (2, 4)
_ANY_YEAR = datetime(2024, 1, 1)  # noqa: DTZ001 - a wall time


@dataclass(frozen=True, slots=True)
class Cron:
    """Minute, hour, day of month, month, day of week."""

    expression: str
    zone: ZoneInfo = UTC_ZONE

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> "Cron":
        """Check an expression.

        Raises:
            ValueError: it is not cron, or never comes true (31 February).
        """
        expression = _in_five_fields(text)
        try:
            next(CronSim(expression, _ANY_YEAR))
        except CronSimError as error:
            raise ValueError(f"{text[:40]!r} is not a cron expression: {error}") from error
        except StopIteration:
            raise ValueError(f"{text[:40]!r} is a date that never comes") from None
        return cls(expression, zone)

    def next_due(self, anchor_us: int, after_us: int) -> int:
        del anchor_us
        if self._is_of_every_hour():
            # cronsim uses elapsed time where the hour field is *
            minute, _, rest = self.expression.split(maxsplit=2)
            return to_micros(next(CronSim(f"{minute} * {rest}", self._zoned(after_us))))
        start = _wall_time(after_us, self.zone) - _WIDEST_JUMP
        walls = CronSim(self.expression, start)
        first = next(wall for wall in walls if _instant_of(wall, self.zone) > after_us)
        close = takewhile(lambda wall: wall <= first + _WIDEST_JUMP, walls)
        found = (_instant_of(wall, self.zone) for wall in chain([first], close))
        return min(due for due in found if due > after_us)

    def _is_of_every_hour(self) -> bool:
        """However it is written: `*`, `*/1`, `0-23`."""
        return len(CronSim(self.expression, _ANY_YEAR).hours) == _HOURS

    def _zoned(self, instant_us: int) -> datetime:
        return to_datetime(instant_us).astimezone(self.zone)


def looks_like_cron(text: str) -> bool:
    """True if the text looks like a cron expression: five fields, or a nickname."""
    return text.startswith("@") or len(text.split()) == _FIELDS


def _in_five_fields(text: str) -> str:
    """Nicknames and the `?` of other dialects, written as what they stand for.

    Raises:
        ValueError: a nickname that names no time, or a `?` that is not a day.
    """
    if text.startswith("@"):
        known = _NICKNAMES.get(text.lower())
        if known is None:
            names = ", ".join(_NICKNAMES)
            raise ValueError(f"{text[:40]!r} names no time of the calendar; use one of {names}")
        return known
    fields = text.split()
    for place in _DAY_FIELDS:
        if fields[place] == "?":
            fields[place] = "*"
    if any("?" in field for field in fields):
        raise ValueError(f"{text[:40]!r}: `?` may only stand for a day; write * for any")
    return " ".join(fields)
