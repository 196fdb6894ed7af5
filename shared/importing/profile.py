"""Profiles whole columns before their values are parsed.

The format of a number or a date is determined by the column, not by one value: `1.250`,
`05/01/2026`, `1767608100`. If the whole column is ambiguous, the import asks and writes no rows.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl

from shared.clock import isoformat, to_micros
from shared.importing.files import SourceTable
from shared.importing.mapping import INSTANTS, Mapping, MappingError, NumberRules, TimeRules
from shared.importing.numbers import (
    PLAIN,
    NumberStyle,
    decide_style,
    read_numbers,
    tidy,
    writings,
)
from shared.importing.texts import numeric_texts, strip
from shared.importing.times import (
    EXCEL_EPOCH_DAYS,
    Order,
    TimeReading,
    Unit,
    counted_us,
    read_instants,
)
from shared.instant_texts import SHORT_DATE
from shared.transaction import EARLIEST_US

_LATEST_US = to_micros(datetime(2100, 1, 1, tzinfo=UTC))
_UNITS: tuple[Unit, ...] = ("s", "ms", "us", "ns")
# This share of a column decides its format; the rest may be invalid.
_NEARLY_ALL = 0.9
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, slots=True)
class Readings:
    """The decisions about the columns, with notes for a person."""

    styles: Dictionary[str, NumberStyle]
    times: Dictionary[str, TimeReading]
    numeric: frozenset[str]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Facts:
    """The counts of one of our columns."""

    writings: Counter[str] = field(default_factory=Counter)
    numbers: int = 0
    values: int = 0
    units: Counter[str] = field(default_factory=Counter)
    first: str | None = None
    is_zoneless: bool = False
    over_twelve: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    first_short: str | None = None


def look_over(
    tables: Iterable[SourceTable],
    mapping: Mapping,
    numbers: tuple[str, ...],
    texts: tuple[str, ...],
) -> Readings:
    """Read all tables once and decide how their columns are meant.

    Raises:
        MappingError: a column can be meant in two ways, or not in the way the mapping states.
        DataUnavailable: a table cannot be read to its end.
    """
    facts = {name: _Facts() for name in mapping.columns}
    for table in tables:
        for piece in table.pieces(mapping.sources):
            for name, found in facts.items():
                theirs = [piece.frame[column] for column in mapping.columns_of(name)]
                _count(found, name, theirs, texts)
    return _decide(mapping, facts, numbers, texts)


def instant_problem(column: pl.Series) -> str | None:
    """The missing setting without which the instants of a sample cannot be read, if any."""
    facts, rules = _Facts(), TimeRules(zone="UTC")
    if not (column.dtype == pl.String or column.dtype.is_numeric() or column.dtype.is_temporal()):
        return "its values are not dates"
    _count_instants(facts, column, whole=True)
    try:
        reading, _ = _time_reading(rules, facts, column.name)
    except MappingError as error:
        return str(error)
    problems = read_instants([column], reading, "it").problem
    said = len(column) - column.null_count()
    if len(problems) - problems.null_count() <= (1.0 - _NEARLY_ALL) * said:
        return None
    return "its values are not read as dates: write unit, format or day_first under [time]"


def number_problem(column: pl.Series) -> str | None:
    """The missing setting without which the numbers of a sample cannot be read, if any."""
    if column.dtype != pl.String:
        return None if column.dtype.is_numeric() else "its values are not numbers"
    try:
        style = decide_style(writings(column), NumberRules(), column.name, "")
    except MappingError as error:
        return str(error)
    said = tidy(column).drop_nulls()
    read = read_numbers(said, style)
    if read.null_count() <= (1.0 - _NEARLY_ALL) * len(said):
        return None
    return "its values are not plain numbers: see [numbers]"


def _count(
    facts: _Facts,
    name: str,
    columns: list[pl.Series],
    texts: tuple[str, ...],
) -> None:
    column = columns[0]
    if name in INSTANTS:
        _count_instants(facts, column, whole=len(columns) == 1)
    elif column.dtype != pl.String:
        return
    elif name == "amount":
        facts.writings += writings(column)
    elif name in texts:
        found, values = numeric_texts(column)
        facts.numbers += found
        facts.values += values


def _count_instants(facts: _Facts, column: pl.Series, *, whole: bool) -> None:
    dtype = column.dtype
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    facts.is_zoneless |= isinstance(dtype, pl.Datetime | pl.Date) and not zoned
    if not (dtype == pl.String or dtype.is_numeric()):
        return
    said = column.drop_nulls()
    if said.dtype == pl.String:
        said = pl.DataFrame({"t": said}).select(strip(pl.col("t")).alias("t"))["t"]
        said = said.filter(said != "")
        _count_customs(facts, said)
    if facts.first is None and len(said):
        facts.first = str(said[0])
    facts.values += len(said)
    if whole:
        _count_units(facts, said)


def _count_customs(facts: _Facts, said: pl.Series) -> None:
    """Counts dates that show whether days or months come first."""
    parts = pl.DataFrame({"t": said}).select(pl.col("t").str.extract_groups(SHORT_DATE).alias("g"))
    short = parts.unnest("g").drop_nulls()
    if facts.first_short is None and len(short):
        facts.first_short = str(said.filter(said.str.contains(SHORT_DATE))[0])
    facts.over_twelve["day first"] += int((short["first"].cast(pl.Int64) > 12).sum())
    facts.over_twelve["month first"] += int((short["then"].cast(pl.Int64) > 12).sum())
    facts.marks += Counter(dict(short["mark"].value_counts().iter_rows()))


def _count_units(facts: _Facts, said: pl.Series) -> None:
    """The number of plausible values in each unit."""
    value = said.cast(pl.Float64, strict=False).drop_nulls()
    facts.numbers += len(value)
    low, high = EARLIEST_US / 1e6, _LATEST_US / 1e6
    for unit in _UNITS:
        scale = _PER_SECOND[unit]
        facts.units[unit] += int(value.is_between(low * scale, high * scale).sum())
    facts.units["day"] += int((value.is_between(20_000_101, 21_000_101) & (value % 1 == 0)).sum())
    facts.units["moment"] += int(value.is_between(20_000_101e6, 21_000_101e6).sum())
    facts.units["year"] += int((value.is_between(1900, 2100) & (value % 1 == 0)).sum())
    facts.units["month"] += int((value.is_between(190_001, 210_012) & (value % 1 == 0)).sum())
    excel = EARLIEST_US / 86_400e6 + EXCEL_EPOCH_DAYS, _LATEST_US / 86_400e6 + EXCEL_EPOCH_DAYS
    facts.units["excel"] += int(value.is_between(*excel).sum())


def _decide(
    mapping: Mapping,
    facts: Dictionary[str, _Facts],
    numbers: tuple[str, ...],
    texts: tuple[str, ...],
) -> Readings:
    styles: dict[str, NumberStyle] = {}
    times: dict[str, TimeReading] = {}
    notes: list[str] = []
    currency = mapping.defaults.get("currency")
    for name, found in facts.items():
        source = " + ".join(mapping.columns_of(name))
        if name in INSTANTS:
            times[name], note = _time_reading(mapping.time, found, source)
            notes += [note] if note else []
        elif name == "amount":
            currency_set = None if "currency" in mapping.columns else str(currency or "")
            styles[name] = decide_style(found.writings, mapping.numbers, source, currency_set)
            if styles[name] not in (PLAIN, NumberStyle(".", ",")):
                style = styles[name]
                notes.append(
                    f"{source}: numbers are read with decimal {style.decimal!r} and thousands "
                    f"{style.thousands!r}"
                )
        elif name in numbers:
            styles[name] = NumberStyle(mapping.numbers.decimal or ".")
    numeric = {name for name in texts if name in facts and facts[name].values > 0
               and facts[name].numbers == facts[name].values}  # fmt: skip
    return Readings(styles, times, frozenset(numeric), tuple(notes))


def _time_reading(rules: TimeRules, facts: _Facts, source: str) -> tuple[TimeReading, str | None]:
    if facts.is_zoneless and rules.zone is None:
        raise MappingError(
            f'column {source!r} names no time zone; write e.g. zone = "UTC" under [time]'
        )
    order = _order(rules, facts, source)
    origin_us = _origin_us(rules)
    is_numbers = facts.values > 0 and facts.numbers >= _NEARLY_ALL * facts.values
    if rules.format is not None and not is_numbers:
        return TimeReading(rules.zone, None, 0, rules.format, order), None
    if not is_numbers:
        return TimeReading(rules.zone, None, 0, None, order), None
    if rules.unit is not None:
        if rules.origin is None:
            _refuse_implausible(rules.unit, facts, source)
        return TimeReading(rules.zone, rules.unit, origin_us), None
    if _plausible(facts) in ("day", "moment"):
        return TimeReading(rules.zone, None, 0, rules.format, order), None
    found = _unit_since_1970(facts, source)
    return TimeReading(rules.zone, found), f"{source}: numbers are read as {found} since 1970"


def _unit_since_1970(facts: _Facts, source: str) -> Unit:
    """Raises MappingError where the numbers do not show it."""
    unit = _plausible(facts)
    if unit is None:
        _refuse_mixed(facts, source)
    found = next((each for each in _UNITS if each == unit), None)
    if found is not None:
        return found
    if unit in ("year", "month"):
        raise MappingError(
            f"column {source!r} holds {unit}s such as {facts.first}, and a row needs a day: write "
            "whole dates, e.g. that of its last day, 2025-12-31"
        )
    example = 'unit = "excel"' if unit == "excel" else 'e.g. unit = "s"'
    raise MappingError(
        f"column {source!r} holds numbers such as {facts.first}; say what they count since "
        f"1970, {example} under [time], and origin where they count from another day"
    )


def _order(rules: TimeRules, facts: _Facts, source: str) -> Order | None:
    """The order of day and month in short dates, if there are any.

    Raises:
        MappingError: the column is ambiguous or contradictory.
    """
    short = sum(facts.marks.values())
    if rules.day_first is not None:
        return "day first" if rules.day_first else "month first"
    if not short or rules.format is not None:
        return None
    day, month = facts.over_twelve["day first"], facts.over_twelve["month first"]
    if day and not month:
        return "day first"
    if month and not day:
        return "month first"
    if not day and facts.marks["."] == short:
        return "day first"  # dates with points always put the day first
    why = "some of its days come first, some second" if day else "none of its days is above 12"
    raise MappingError(
        f"column {source!r} writes dates such as {facts.first_short}, and {why}: "
        "write day_first = true or false under [time], or its format"
    )


def _plausible(facts: _Facts) -> str | None:
    """The one unit in which nearly all numbers lie in this century."""
    likely = [unit for unit, count in facts.units.items() if count >= _NEARLY_ALL * facts.numbers]
    return likely[0] if len(likely) == 1 else None


def _refuse_mixed(facts: _Facts, source: str) -> None:
    """One column of seconds and milliseconds has no unit."""
    found = {unit: facts.units[unit] for unit in _UNITS if facts.units[unit]}
    if len(found) < 2 or sum(found.values()) < _NEARLY_ALL * facts.numbers:
        return
    counted = " and ".join(f"{unit} ({count:,} rows)" for unit, count in found.items())
    most = max(found, key=lambda unit: found[unit])
    raise MappingError(
        f"column {source!r} counts in {counted}: bring all of it in one unit; with "
        f'unit = "{most}" under [time] rows of another are rejected'
    )


def _refuse_implausible(unit: Unit, facts: _Facts, source: str) -> None:
    """A wrong unit would put every row into 1970, or far ahead."""
    if facts.units[unit] >= (1 - _NEARLY_ALL) * facts.numbers:
        return
    other = _plausible(facts)
    column = pl.Series([facts.first])
    first_us = counted_us(column, unit)[0]
    seems = (
        f'it seems to be unit = "{other}"'
        if other in (*_UNITS, "excel")
        else 'if they count from another day, say origin = "2017-12-01" (that day) too'
    )
    where = "" if first_us is None else f" (the first on {isoformat(int(first_us))[:10]})"
    raise MappingError(
        f'column {source!r}: with unit = "{unit}" under [time] nearly all of its '
        f"{facts.numbers:,} instants lie before 2000 or after 2100{where}; {seems}"
    )


def _origin_us(rules: TimeRules) -> int:
    if rules.origin is None:
        return 0
    origin = rules.origin
    if not isinstance(origin, datetime):
        origin = datetime(origin.year, origin.month, origin.day)  # noqa: DTZ001 - next line
    if origin.tzinfo is None:
        origin = origin.replace(tzinfo=ZoneInfo(rules.zone or "UTC"))
    return to_micros(origin)
