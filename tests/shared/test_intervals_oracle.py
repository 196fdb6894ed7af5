"""Two years of due instants in five time zones, against python-dateutil."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from dateutil import tz
from dateutil.relativedelta import relativedelta
from dateutil.rrule import DAILY, HOURLY, MONTHLY, WEEKLY, rrule

from shared.clock import to_datetime, to_micros
from shared.intervals import Interval, next_due

pytestmark = pytest.mark.slow

# Clocks change at 02:00 and 01:00, at midnight, by half an hour, in the south, and never.
ZONES = (
    "Europe/Paris",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
)
START, END = datetime(2027, 1, 31, 2, 30), datetime(2029, 1, 31, 2, 30)  # noqa: DTZ001 - wall times
EARLIER = START - timedelta(days=40)

Walls = Callable[[], Iterator[datetime]]


def stepped(**step: int) -> Iterator[datetime]:
    return (START + relativedelta(**{k: v * n for k, v in step.items()}) for n in itertools.count())


def month_ends() -> Iterator[datetime]:
    first = EARLIER.replace(day=1)
    for n in itertools.count():
        yield (first + relativedelta(months=n + 1)) - timedelta(days=1)


FORMS: dict[str, Walls] = {
    "1D": partial(stepped, days=1),
    "1W": partial(stepped, days=7),
    "1M": partial(stepped, months=1),
    "1Y": partial(stepped, years=1),
    "P1M": partial(stepped, months=1),
    "P2W": partial(stepped, weeks=2),
    "daily 02:30": lambda: iter(rrule(DAILY, EARLIER)),
    "weekly sunday 02:30": lambda: iter(rrule(WEEKLY, EARLIER, byweekday=6)),
    "monthly 31 02:30": month_ends,
    "30 2 * * *": lambda: iter(rrule(DAILY, EARLIER)),
    "30 2 * * 7": lambda: iter(rrule(WEEKLY, EARLIER, byweekday=6)),
    "0 0 * * 0": lambda: iter(rrule(DAILY, EARLIER, byweekday=6, byhour=0, byminute=0)),
    "*/30 2 * * *": lambda: iter(rrule(HOURLY, EARLIER, byhour=2, byminute=(0, 30))),
    "0,59 2,3 * * *": lambda: iter(rrule(HOURLY, EARLIER, byhour=(2, 3), byminute=(0, 59))),
    "0 */6 * * *": lambda: iter(rrule(HOURLY, EARLIER, byhour=(0, 6, 12, 18), byminute=0)),
    "15 0 1,15 * *": lambda: iter(rrule(DAILY, EARLIER, bymonthday=(1, 15), byhour=0, byminute=15)),
    "0 0 31 * *": lambda: iter(rrule(MONTHLY, EARLIER, bymonthday=31, byhour=0, byminute=0)),
    "0 12 * * mon-fri": lambda: iter(
        rrule(DAILY, EARLIER, byweekday=range(5), byhour=12, byminute=0)
    ),
}


def oracle(walls: Walls, zone: str) -> list[datetime]:
    """The instants of all wall times: skipped ones moved on, doubled ones their first time."""
    place = tz.gettz(zone)
    limit = END + timedelta(days=2)
    zoned = (
        wall.replace(tzinfo=place) for wall in itertools.takewhile(lambda w: w < limit, walls())
    )
    found = {tz.resolve_imaginary(moment).astimezone(UTC) for moment in zoned}
    begin, end = (edge.replace(tzinfo=place).astimezone(UTC) for edge in (START, END))
    return sorted(moment for moment in found if begin < moment <= end)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", FORMS)
def test_two_years_of_due_instants_in_a_zone_equal_an_independent_oracle(
    text: str, zone: str
) -> None:
    expected = oracle(FORMS[text], zone)
    interval = Interval.parse(f"TZ={zone} {text}")
    start_us = to_micros(START.replace(tzinfo=tz.gettz(zone)).astimezone(UTC))

    found, after_us = [], start_us
    for _ in expected:
        after_us = next_due(interval, start_us, after_us)
        found.append(to_datetime(after_us))

    assert found == expected


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("text", ["1H", "PT1H", "0 * * * *"])
def test_an_hourly_job_is_due_in_every_hour_that_passes(text: str, zone: str) -> None:
    """Also in the one that comes twice, and not in the one that never comes."""
    start = datetime(2027, 1, 1, tzinfo=tz.gettz(zone)).astimezone(UTC)
    if text == "0 * * * *" and zone == "Asia/Kolkata":
        start = start.replace(minute=30)
    interval, start_us = Interval.parse(f"TZ={zone} {text}"), to_micros(start)

    after_us = start_us
    for hours in range(1, 24 * 365):
        after_us = next_due(interval, start_us, after_us)
        assert after_us == start_us + hours * 3_600_000_000
