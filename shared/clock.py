"""Time in both services: UTC, whole microseconds since the epoch."""

from datetime import UTC, datetime
from typing import Protocol

from shared.machine_clock import MACHINE_CLOCK

MICROS_PER_SECOND = 1_000_000
MICROS_PER_HOUR = 3_600 * MICROS_PER_SECOND
MICROS_PER_DAY = 24 * MICROS_PER_HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the present instant; passed in so that history can be replayed."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's clock, as far as it agrees with elapsed time (see `MachineClock`)."""

    # bound once: called for every row
    now_us = staticmethod(MACHINE_CLOCK.now_us)


def to_datetime(instant_us: int) -> datetime:
    """The aware UTC datetime of an instant, exact to the microsecond."""
    seconds, micros = divmod(instant_us, MICROS_PER_SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def to_micros(moment: datetime) -> int:
    """The instant of an aware datetime.

    Raises:
        ValueError: the datetime has no zone, so it names no instant.
    """
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone names no instant")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * MICROS_PER_SECOND + delta.microseconds


def isoformat(instant_us: int) -> str:
    """RFC 3339 text of an instant, always with microseconds and Z."""
    return to_datetime(instant_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
