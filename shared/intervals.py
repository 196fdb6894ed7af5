"""Intervals such as `1W`: the accepted forms of a schedule, and the due instants of a job by it.

The instants of an interval are independent of the time of the call, so a restart, a slow run or
a missed tick never moves the schedule, and two schedulers agree on every due instant.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from shared.clock import MICROS_PER_SECOND
from shared.schedule_rules import UTC_ZONE, Cron, Every, ScheduleRule, find_zone, looks_like_cron

# Ambiguous texts, or texts of another dialect: refused with what to write instead.
#
# A misread schedule goes unnoticed for years: `30m` as thirty months would be due in 2029.

_MOST_MONTHS = 24
_MINUTES = re.compile(r"(?:every )?(?P<count>[0-9]+) ?(?:m|min|mins|minute|minutes)", re.ASCII)
_MONTHS = re.compile(r"(?P<count>[0-9]+) ?M", re.ASCII)
_SECONDS = re.compile(r"(?:every )?(?P<count>[0-9]+) ?(?:s|sec|secs|second|seconds)", re.ASCII)
_ZONE_BEHIND = re.compile(r"(?P<rest>.+) (?P<zone>(?:CRON_)?TZ=\S+)", re.ASCII | re.IGNORECASE)
_QUARTZ_FIELDS = (6, 7)


def _refuse_doubtful(text: str) -> None:
    """Let a text pass that means one thing.

    Raises:
        ValueError: it may be meant otherwise; the message says what to write.
    """
    if found := _ZONE_BEHIND.fullmatch(text):
        raise ValueError(
            f"{text[:60]!r}: the time zone goes first, write {found['zone']} {found['rest']}"
        )
    if found := _MINUTES.fullmatch(text):
        count = found["count"]
        raise ValueError(
            f"{text[:40]!r}: m is a month here, write PT{count}M for minutes "
            f"or P{count}M for months"
        )
    if found := _MONTHS.fullmatch(text):
        _check_months(text, int(found["count"]))
    if found := _SECONDS.fullmatch(text):
        raise ValueError(f"{text[:40]!r}: for seconds write PT{found['count']}S, at least PT60S")
    if len(text.split()) in _QUARTZ_FIELDS and re.fullmatch(r"[\w*?/,#\- ]+", text):
        raise ValueError(
            f"{text[:60]!r} has more than the five fields of cron; use minute, hour, day of month, "
            "month, day of week, and leave seconds and years out"
        )


def _check_months(text: str, count: int) -> None:
    if count > _MOST_MONTHS:
        raise ValueError(
            f"{text[:40]!r} would be {count} months; write P{count}M if that is meant, "
            f"PT{count}M for minutes"
        )


FORMS = (
    "1H, 1D, 1W, 1M (months), 1Y (any whole number, months up to 24), an ISO 8601 duration "
    "(P1DT12H, PT30M for 30 minutes), a cron expression (0 3 * * 0, @daily), 'daily 03:00', "
    "'weekly sunday 03:00', 'monthly 31 03:00'; before any of them TZ=Europe/Paris"
)

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = r"(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
_STEP = re.compile(r"(?P<count>[1-9][0-9]{0,3})(?P<unit>[HDWMY])", re.ASCII)
_ISO = re.compile(
    r"P(?:(?P<years>[0-9]{1,3})Y)?(?:(?P<months>[0-9]{1,4})M)?(?:(?P<weeks>[0-9]{1,4})W)?"
    r"(?:(?P<days>[0-9]{1,5})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,6})H)?(?:(?P<minutes>[0-9]{1,8})M)?(?:(?P<seconds>[0-9]{1,9})S)?)?",
    re.ASCII,
)
_DAILY = re.compile(f"DAILY {_CLOCK}", re.ASCII)
_WEEKLY = re.compile(f"WEEKLY (?P<day>{'|'.join(_DAYS).upper()}) {_CLOCK}", re.ASCII)
_MONTHLY = re.compile(f"MONTHLY (?P<day>[1-9]|[12][0-9]|3[01]) {_CLOCK}", re.ASCII)
_ZONE = re.compile(r"(?:CRON_)?TZ=(?P<zone>\S+)\s+(?P<rest>.*)", re.ASCII | re.IGNORECASE)
# A Monday, the first of a month of 31 days.
_FIRST_MONDAY = datetime(2001, 1, 1)  # noqa: DTZ001 - a wall time
# Training takes seconds to minutes; a schedule faster than that is a typing error.
_SHORTEST_SECONDS = 60
# A date has four digits for its year.
_LONGEST_YEARS = 100


def _parse_rule(text: str) -> ScheduleRule:
    """The rule that a text stands for.

    Raises:
        ValueError: it is none of `FORMS`.
    """
    zone, rest = _split_zone(" ".join(text.split()))
    _refuse_doubtful(rest)
    for pattern, build in _BUILDERS:
        found = pattern.fullmatch(rest.upper())
        if found is not None:
            return build(found, zone)
    if looks_like_cron(rest):
        return Cron.parse(rest, zone)
    raise ValueError(f"{text[:40]!r} is not an interval; use {FORMS}")


def _split_zone(text: str) -> tuple[ZoneInfo, str]:
    found = _ZONE.fullmatch(text)
    return (UTC_ZONE, text) if found is None else (find_zone(found["zone"]), found["rest"])


def _step(found: re.Match[str], zone: ZoneInfo) -> ScheduleRule:
    count = int(found["count"])
    match found["unit"]:
        case "H":
            return _checked(zone, seconds=3_600 * count)
        case "D":
            return _checked(zone, days=count)
        case "W":
            return _checked(zone, days=7 * count)
        case "M":
            return _checked(zone, months=count)
        case _:
            return _checked(zone, months=12 * count)


def _iso(found: re.Match[str], zone: ZoneInfo) -> ScheduleRule:
    parts = {name: int(number or 0) for name, number in found.groupdict().items()}
    return _checked(
        zone,
        months=12 * parts["years"] + parts["months"],
        days=7 * parts["weeks"] + parts["days"],
        seconds=3_600 * parts["hours"] + 60 * parts["minutes"] + parts["seconds"],
    )


def _checked(zone: ZoneInfo, *, months: int = 0, days: int = 0, seconds: int = 0) -> Every:
    if not months and not days and seconds < _SHORTEST_SECONDS:
        raise ValueError(f"{seconds} s is too short an interval; at least {_SHORTEST_SECONDS} s")
    if months / 12 + (days + seconds / 86_400) / 365.2425 > _LONGEST_YEARS:
        raise ValueError(f"this is too long an interval; at most {_LONGEST_YEARS} years")
    return Every(months, days, seconds * MICROS_PER_SECOND, zone)


def _daily(found: re.Match[str], zone: ZoneInfo) -> ScheduleRule:
    return Every(days=1, zone=zone, starts=_at(found, _FIRST_MONDAY))


def _weekly(found: re.Match[str], zone: ZoneInfo) -> ScheduleRule:
    day = _FIRST_MONDAY + timedelta(days=_DAYS.index(found["day"].lower()))
    return Every(days=7, zone=zone, starts=_at(found, day))


def _monthly(found: re.Match[str], zone: ZoneInfo) -> ScheduleRule:
    day = _FIRST_MONDAY.replace(day=int(found["day"]))
    return Every(months=1, zone=zone, starts=_at(found, day))


def _at(found: re.Match[str], day: datetime) -> datetime:
    return day.replace(hour=int(found["hour"]), minute=int(found["minute"]))


_Builder = Callable[[re.Match[str], ZoneInfo], ScheduleRule]
_BUILDERS: tuple[tuple[re.Pattern[str], _Builder], ...] = (
    (_STEP, _step),
    (_ISO, _iso),
    (_DAILY, _daily),
    (_WEEKLY, _weekly),
    (_MONTHLY, _monthly),
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A schedule's text with normalised spaces, and its rule."""

    text: str = field(compare=False)
    rule: ScheduleRule

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Read one of the `FORMS`.

        Raises:
            ValueError: the text is anything else.
        """
        rule = _parse_rule(text)
        return cls(" ".join(text.split()), rule)


def next_due(interval: Interval, anchor_us: int, after_us: int) -> int:
    """The first due instant strictly later than `after_us`."""
    return interval.rule.next_due(anchor_us, after_us)
