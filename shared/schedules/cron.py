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

_FIELDS = 5
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
        try:
            next(CronSim(text, _ANY_YEAR))
        except CronSimError as error:
            raise ValueError(f"{text[:40]!r} is not a cron expression: {error}") from error
        except StopIteration:
            raise ValueError(f"{text[:40]!r} is a date that never comes") from None
        return cls(text, zone)

    def next_due(self, anchor_us: int, after_us: int) -> int:
        del anchor_us
        if self._is_of_every_hour():
            return to_micros(next(CronSim(self.expression, self._zoned(after_us))))
        start = wall_time(after_us, self.zone) - WIDEST_JUMP
        walls = CronSim(self.expression, start)
        first = next(wall for wall in walls if instant_of(wall, self.zone) > after_us)
        close = takewhile(lambda wall: wall <= first + WIDEST_JUMP, walls)
        found = (instant_of(wall, self.zone) for wall in chain([first], close))
        return min(due for due in found if due > after_us)

    def _is_of_every_hour(self) -> bool:
        return self.expression.split()[1] == "*"

    def _zoned(self, instant_us: int) -> datetime:
        return to_datetime(instant_us).astimezone(self.zone)


def looks_like_cron(text: str) -> bool:
    """Whether somebody meant a cron expression: five fields."""
    return len(text.split()) == _FIELDS
