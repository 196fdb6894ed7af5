"""Dates and times as exports and chargeback files write them, and one instant out of one text.

The patterns are those of an import, too (`shared.importing.times`), and written for polars. A
file decides by its whole column which of day and month comes first in 05/01/2026; a single text
cannot, and is refused.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

from shared.clock import MICROS_PER_SECOND, to_micros

_ZONE = r"(?P<zone>Z|UTC|GMT|UT|[+-]\d{1,2}(?::?\d{2})?)"
# an offset may be followed by the name of the zone: +01:00[Europe/Paris]
_TIME = (
    r"(?P<hour>\d{1,2})[:.h](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,](?P<part>\d{1,12}))?)?"
    rf"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?(?:\s*{_ZONE}(?:\[[\w/+-]+\])?)?"
)
_BASIC_TIME = (
    r"(?P<hour>\d{2})(?P<minute>\d{2})(?:(?P<second>\d{2})(?:[.,](?P<part>\d{1,12}))?)?(?P<half>)"
    rf"(?:\s*{_ZONE})?"
)
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
_MONTH = r"(?P<name>\p{L}{3,9})\.?"
# Short dates whose order of day and month depends on the locale.
SHORT_DATE = r"^(?P<first>\d{1,2})(?P<mark>[/.-])(?P<then>\d{1,2})[/.-](?P<year>\d{4}|\d{2})"

FAMILIES = tuple(
    "(?i)^" + form + "$"
    for form in (
        rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?:(?:T|\s+|-){_TIME})?",
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}})(?:[T ]?{_BASIC_TIME})?",
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}})(?:[T ]{_TIME})?",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})\.?[-\s]?(?:de\s+)?{_MONTH}[-\s,]*(?:de\s+)?(?P<year>\d{{4}}|\d{{2}})(?:(?:,?\s+|T|:){_TIME})?",
        rf"{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})(?:,?\s+(?:at\s+)?{_TIME})?",
        rf"{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}})\s+{_TIME}\s+(?P<year>\d{{4}})",
    )
)
_SHORT_YEAR = rf"(?P<year>\d{{4}}|\d{{2}})(?:(?:,?\s+|T|-){_TIME})?$"
DAY_FIRST = rf"(?i)^(?P<day>\d{{1,2}})[/.-](?P<month>\d{{1,2}})[/.-]{_SHORT_YEAR}"
MONTH_FIRST = rf"(?i)^(?P<month>\d{{1,2}})[/.-](?P<day>\d{{1,2}})[/.-]{_SHORT_YEAR}"

_ENGLISH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# German, French, Spanish, Italian, Portuguese and Dutch, where they differ
_ALIASES = {
    "m\u00e4r": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12, "f\u00e9v": 2, "avr": 4, "ao\u00fb": 8,
    "d\u00e9c": 12, "ene": 1, "abr": 4, "ago": 8, "dic": 12, "j\u00e4n": 1, "gen": 1, "fev": 2,
    "mrt": 3, "mag": 5, "mei": 5, "giu": 6, "lug": 7, "set": 9, "ott": 10, "out": 10,
}  # fmt: skip
MONTHS = {name: number for number, name in enumerate(_ENGLISH, 1)} | _ALIASES
MAX_OFFSET_MINUTES = 14 * 60


EXAMPLE = "2026-01-05T10:15:00Z"
UNSTATED = timezone(timedelta(0), "unstated")
"""The zone of a text that names none: it is taken for UTC."""

# the patterns are written for polars; re has no Unicode classes
_FAMILIES = [re.compile(form.replace(r"\p{L}", r"[^\W\d_]")) for form in FAMILIES]
_DAY_FIRST, _MONTH_FIRST, _SHORT_DATE = map(re.compile, (DAY_FIRST, MONTH_FIRST, SHORT_DATE))
_PIVOT = 69


def read_instant(text: str) -> datetime:
    """The instant; its zone is `UNSTATED` where the text names none.

    Raises:
        ValueError: it is not a date, or can be two; says what to write.
    """
    bare = " ".join(text.split())
    try:
        moment = datetime.fromisoformat(bare)
    except ValueError:
        moment = _by_form(bare)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UNSTATED)
    offset = moment.utcoffset() or timedelta(0)
    if abs(offset) > timedelta(minutes=MAX_OFFSET_MINUTES):
        raise ValueError(f"no zone is {offset} from UTC: write an instant like {EXAMPLE}")
    return moment


def _by_form(text: str) -> datetime:
    for family in (*_FAMILIES, *_customary(text)):
        found = family.match(text)
        if found is None:
            continue
        try:
            return _moment(found.groupdict())
        except (ValueError, KeyError, OverflowError) as error:
            raise ValueError(f"there is no such date or time: write one like {EXAMPLE}") from error
    raise ValueError(f"not a date and time that can be read: write one like {EXAMPLE}")


def _customary(text: str) -> list[re.Pattern[str]]:
    """The order of day and month in 05/01/2026, where only one is possible."""
    found = _SHORT_DATE.match(text)
    if found is None:
        return []
    first, then = int(found["first"]), int(found["then"])
    if found["mark"] == "." or first > 12 or first == then:
        return [_DAY_FIRST]
    if then > 12:
        return [_MONTH_FIRST]
    raise ValueError("day and month cannot be told apart: write the year first, like 2026-01-05")


def _moment(parts: dict[str, str | None]) -> datetime:
    year = int(parts["year"] or "")
    if len(parts["year"] or "") == 2:
        year += 1900 if year >= _PIVOT else 2000
    name = parts.get("name")
    month = MONTHS[name.lower()[:3]] if name else int(parts["month"] or "")
    day = datetime(year, month, int(parts["day"] or ""), tzinfo=_zone(parts.get("zone")))
    return day + timedelta(microseconds=_clock_us(parts))


def _clock_us(parts: dict[str, str | None]) -> int:
    """Microseconds since midnight; 24:00:00 and a leap second reach into what follows."""
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    part = int((parts.get("part") or "").ljust(6, "0")[:6])
    half = (parts.get("half") or "").lower()
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    elif half == "a":
        raise ValueError("a morning has twelve hours")
    is_midnight = (hour, minute, second, part) == (24, 0, 0, 0)
    if not (hour < 24 or is_midnight) or minute > 59 or second > 60:
        raise ValueError("no such time of day")
    return ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + part


def _zone(zone: str | None) -> timezone | None:
    if not zone:
        return None
    if zone[0] not in "+-":
        return UTC
    digits = zone[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if zone[0] == "-" else offset)


def instant_us(moment: datetime) -> int:
    """The instant in microseconds since the epoch."""
    return to_micros(moment)
