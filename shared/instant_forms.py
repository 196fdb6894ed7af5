"""Patterns of dates and times in exports, shared by columns of an import and single texts.

Written for polars; `shared.instant_texts` takes them to Python's `re`.
"""

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
