"""Between instants and the wall clocks of a time zone, which jump twice a year.

A wall time that is skipped in spring is read with the offset before the jump (02:30 becomes
03:30), one that comes twice in autumn is its first occurrence: RFC 5545, section 3.3.5. So
a daily job is due once on each of these days too.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.clock import to_datetime, to_micros


class ScheduleRule(Protocol):
    """Due instants in microseconds; `anchor_us` is the start of a rule without an anchor."""

    def next_due(self, anchor_us: int, after_us: int) -> int:
        """The first due instant strictly later than `after_us`."""
        ...


UTC_ZONE = ZoneInfo("UTC")
# Zone changes are an hour today; the largest in history was a day.
WIDEST_JUMP = timedelta(hours=24)


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


def wall_time(instant_us: int, zone: ZoneInfo) -> datetime:
    """The local wall time: a datetime without a zone."""
    return to_datetime(instant_us).astimezone(zone).replace(tzinfo=None, fold=0)


def instant_of(wall: datetime, zone: ZoneInfo) -> int:
    """The instant of a wall time."""
    return to_micros(wall.replace(tzinfo=zone, fold=0).astimezone(UTC))
