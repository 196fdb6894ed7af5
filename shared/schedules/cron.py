"""Cron expressions with their usual meaning: Sunday is 0 and 7, months are calendar months.

cronsim reads the expression and walks the wall clock; what a clock change does to a wall
time is decided in one place for all rules. Only a job of every hour is walked in elapsed
time: it runs in the hour that comes twice, both times.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import chain, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.clock import to_datetime, to_micros
from shared.schedules.walltime import UTC_ZONE, WIDEST_JUMP, instant_of, wall_time

NICKNAMES = {
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
        start = wall_time(after_us, self.zone) - WIDEST_JUMP
        walls = CronSim(self.expression, start)
        first = next(wall for wall in walls if instant_of(wall, self.zone) > after_us)
        close = takewhile(lambda wall: wall <= first + WIDEST_JUMP, walls)
        found = (instant_of(wall, self.zone) for wall in chain([first], close))
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
        known = NICKNAMES.get(text.lower())
        if known is None:
            names = ", ".join(NICKNAMES)
            raise ValueError(f"{text[:40]!r} names no time of the calendar; use one of {names}")
        return known
    fields = text.split()
    for place in _DAY_FIELDS:
        if fields[place] == "?":
            fields[place] = "*"
    if any("?" in field for field in fields):
        raise ValueError(f"{text[:40]!r}: `?` may only stand for a day; write * for any")
    return " ".join(fields)
