"""Reads instants out of whatever a file holds: timestamps, numbers or texts.

Of texts four families of dates, each a pattern over the whole text, are tried one after the other
on what the one before could not read. Which of day and month comes first in 05/01/2026 is decided
for the whole column before (`shared.importing.profile`).
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND
from shared.importing.texts import read_texts, strip
from shared.instant_texts import DAY_FIRST, FAMILIES, MAX_OFFSET_MINUTES, MONTH_FIRST, MONTHS

Order = Literal["day first", "month first"]
Unit = Literal["s", "ms", "us", "ns", "excel"]
UNIT_US = {"s": MICROS_PER_SECOND, "ms": 1_000, "us": 1}
# 1970-01-01 as an Excel day number; Excel's wrong leap day of 1900 lies before it
EXCEL_EPOCH_DAYS = 25_569
_LAST_US = 2.0**63
REMEDY = " (say its format under [time])"


@dataclass(frozen=True, slots=True)
class TimeReading:
    """The format of one column's instants, decided for the column as a whole.

    Attributes:
        zone: of times that name none; None: those cannot be read.
        unit: what numbers count; None: the column holds texts, or numbers like 20260105.
        origin_us: from where they count.
        format: of texts, where the mapping states one.
        order: of day and month in 05/01/2026.
    """

    zone: str | None = None
    unit: Unit | None = None
    origin_us: int = 0
    format: str | None = None
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Instants:
    """Microseconds since the epoch, and a reason for each text without."""

    value: pl.Series
    problem: pl.Series


def read_instants(columns: list[pl.Series], reading: TimeReading, name: str) -> Instants:
    """Read one column, or a date and a time of two; `name` is what to call it in a problem."""
    column = columns[0] if len(columns) == 1 else _joined(columns)
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return _told(column, column.dt.timestamp("us"), None, name)
    if isinstance(dtype, pl.Datetime | pl.Date):
        local = column.cast(pl.Datetime("us")).dt.timestamp("us")
        return _in_zone(column, local, reading, name)
    if reading.unit is not None:
        return _counted(column, reading, name)
    texts = read_texts(column, is_identifier=True, is_numeric=True)
    if reading.format is not None:
        return _by_format(texts, reading, name)
    return _by_text(texts, reading, name)


def counted_us(column: pl.Series, unit: Unit) -> pl.Series:
    """Numbers in a unit as microseconds, exact for whole numbers; Excel's from 1970."""
    text = column.dtype == pl.String
    raw = pl.col("raw").str.strip_chars() if text else pl.col("raw")
    parts = raw.cast(pl.Float64, strict=False)
    if unit == "excel":
        value = ((parts - EXCEL_EPOCH_DAYS) * MICROS_PER_DAY).round().cast(pl.Int64, strict=False)
    elif unit == "ns":
        value = raw.cast(pl.Int64, strict=False) // 1_000
    else:
        scale = UNIT_US[unit]
        # integers stay integers: a float cannot represent today's instants in microseconds
        whole = raw.cast(pl.Int64, strict=False) * scale
        rounded = (parts * scale).round().cast(pl.Int64, strict=False)
        # beyond 64 bits the product would wrap around into some other century
        fits = (parts * scale).abs() < _LAST_US
        is_whole = (parts % 1.0 == 0.0) & whole.is_not_null() & fits
        value = pl.when(is_whole).then(whole).otherwise(rounded)
    return pl.DataFrame({"raw": column}).select(value.alias("us"))["us"]


def _joined(columns: list[pl.Series]) -> pl.Series:
    """A separate date and time, as one text."""
    day, clock = (_written(column) for column in columns)
    both = pl.concat_str(["day", "clock"], separator=" ", ignore_nulls=True)
    said = pl.col("day").is_not_null()
    return pl.DataFrame({"day": day, "clock": clock}).select(pl.when(said).then(both).alias("us"))[
        "us"
    ]


def _written(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.strftime("%Y-%m-%d")
    if column.dtype == pl.Time:
        return column.dt.strftime("%H:%M:%S%.6f")
    return read_texts(column, is_identifier=True, is_numeric=True)


def _counted(column: pl.Series, reading: TimeReading, name: str) -> Instants:
    if reading.unit is None:
        raise ValueError("a column of numbers needs a unit")
    value = counted_us(column, reading.unit) + reading.origin_us
    if reading.unit == "excel":
        return _in_zone(column, value, reading, name)
    return _told(column, value, None, name)


def _by_format(texts: pl.Series, reading: TimeReading, name: str) -> Instants:
    written = reading.format or ""
    parsed = texts.str.to_datetime(written, time_unit="us", strict=False)
    if "%z" in written or "%:z" in written or "%#z" in written:
        return _told(texts, parsed.dt.timestamp("us"), None, name)
    return _in_zone(texts, parsed.dt.timestamp("us"), reading, name)


def _by_text(texts: pl.Series, reading: TimeReading, name: str) -> Instants:
    said = read_time_texts(texts, reading.order)
    stated = said.naive_us - said.offset_us
    if said.offset_us.null_count() == 0:
        return _told(texts, stated, None, name)
    local = _in_zone(texts, said.naive_us, reading, name)
    table = pl.DataFrame(
        {"stated": stated, "local": local.value, "why": local.problem, "offset": said.offset_us}
    )
    has_zone = pl.col("offset").is_not_null()
    value = table.select(pl.when(has_zone).then("stated").otherwise("local").alias("value"))
    unreadable = f"{name} is not a date and time{REMEDY}"
    problem = table.select(
        pl.when(has_zone & pl.col("stated").is_null())
        .then(pl.lit(unreadable))
        .when(~has_zone)
        .then("why")
        .alias("problem")
    )
    return Instants(value["value"], problem["problem"])


def _in_zone(raw: pl.Series, local_us: pl.Series, reading: TimeReading, name: str) -> Instants:
    """Instants of local times; the first of two, and none where a clock jumped over it."""
    if reading.zone is None:
        return _told(raw, None, local_us, name)
    naive = local_us.cast(pl.Datetime("us"))
    zoned = naive.dt.replace_time_zone(reading.zone, ambiguous="earliest", non_existent="null")
    return _told(raw, zoned.dt.timestamp("us"), local_us, name)


def _told(raw: pl.Series, value: pl.Series | None, local: pl.Series | None, name: str) -> Instants:
    """The values, and a reason where there is none; `local` marks the readable texts."""
    empty = pl.Series([None] * len(raw), dtype=pl.Int64)
    table = pl.DataFrame(
        {
            "said": raw.is_not_null(),
            "value": empty if value is None else value,
            "local": (empty if value is None else value) if local is None else local,
        }
    )
    lacking = pl.col("said") & pl.col("value").is_null()
    zoneless = f"{name} names no time zone" if value is None else f"{name} does not exist there"
    problem = (
        pl.when(lacking & pl.col("local").is_null())
        .then(pl.lit(f"{name} is not a date and time{REMEDY}"))
        .when(lacking)
        .then(pl.lit(zoneless))
    )
    return Instants(table["value"], table.select(problem.alias("problem"))["problem"])


_PARTS = ("year", "month", "day", "name", "hour", "minute", "second", "part", "half", "zone")


@dataclass(frozen=True, slots=True)
class TimeTexts:
    """The instants in a column of texts.

    Attributes:
        naive_us: microseconds since the epoch if the written time were UTC; null: unreadable.
        offset_us: the zone's offset, to be taken off; null where no zone is written.
    """

    naive_us: pl.Series
    offset_us: pl.Series


def read_time_texts(texts: pl.Series, order: Order | None) -> TimeTexts:
    """Take every text apart; the same length and order as the column."""
    table = pl.DataFrame({"text": texts}).select(
        strip(pl.col("text")).str.replace_all(r"\s+", " ").alias("text")
    )
    parts = table.with_row_index("at").with_columns(
        pl.lit(None, pl.String).alias(name) for name in _PARTS
    )
    families = list(FAMILIES)
    if order is not None:
        families.append(DAY_FIRST if order == "day first" else MONTH_FIRST)
    read: list[pl.DataFrame] = []
    for family in families:
        open_rows = parts.select("at", "text").drop_nulls()
        if open_rows.is_empty():
            break
        found = _taken_apart(open_rows, family)
        done = found.filter(pl.col("year").is_not_null())
        parts = open_rows
        if not done.is_empty():
            read.append(done)
            parts = open_rows.join(done.select("at"), on="at", how="anti")
    return _assembled(table.height, read)


def _taken_apart(rows: pl.DataFrame, family: str) -> pl.DataFrame:
    groups = rows.select("at", pl.col("text").str.extract_groups(family).alias("g")).unnest("g")
    lacking = [pl.lit(None, pl.String).alias(name) for name in _PARTS if name not in groups.columns]
    return groups.with_columns(lacking).select("at", *_PARTS)


def _assembled(height: int, read: list[pl.DataFrame]) -> TimeTexts:
    every = pl.DataFrame({"at": pl.Series(range(height), dtype=pl.UInt32)})
    if not read:
        nothing = pl.Series([None] * height, dtype=pl.Int64)
        return TimeTexts(nothing, nothing)
    instants = pl.concat(read).select("at", naive=_naive_us(), offset=_offset_us())
    # an offset larger than that of any zone is an error
    beyond = pl.col("offset").abs() > MAX_OFFSET_MINUTES * 60 * MICROS_PER_SECOND
    instants = instants.with_columns(pl.when(~beyond.fill_null(value=False)).then("naive"))
    ordered = every.join(instants, on="at", how="left", maintain_order="left")
    return TimeTexts(ordered["naive"], ordered["offset"])


def _naive_us() -> pl.Expr:
    year = _number("year")
    year = pl.when(pl.col("year").str.len_bytes() > 2).then(year).otherwise(_century(year))
    month = pl.coalesce(
        _number("month"),
        pl.col("name").str.to_lowercase().str.slice(0, 3).replace_strict(
            MONTHS, default=None, return_dtype=pl.Int64
        ),
    )  # fmt: skip
    day, clock = _number("day"), _clock_us()
    days = _days_since_epoch(year, month, day)
    is_day = month.is_between(1, 12) & (day >= 1) & (day <= _days_in(year, month))
    return pl.when(is_day & clock.is_not_null()).then(days * MICROS_PER_DAY + clock)


def _clock_us() -> pl.Expr:
    """Microseconds since midnight; 24:00:00 and a leap second reach into what follows."""
    hour, minute = _number("hour").fill_null(0), _number("minute").fill_null(0)
    second = _number("second").fill_null(0)
    half = pl.col("half").str.to_lowercase()
    part = pl.col("part").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64).fill_null(0)
    is_halved = half.is_in(["a", "p"]).fill_null(value=False)
    # 12-hour times; hours above 12 are taken as they are: 22:15 PM is unambiguous
    noon = pl.when(half == "p").then(12).otherwise(0)
    hour = pl.when(is_halved & (hour <= 12)).then(hour % 12 + noon).otherwise(hour)
    wrong_half = is_halved & (half == "a") & (hour > 12)
    us = (((hour * 60 + minute) * 60) + second) * MICROS_PER_SECOND + part
    midnight = (hour == 24) & (minute == 0) & (second == 0) & (part == 0)
    is_clock = ((hour < 24) | midnight) & (minute < 60) & (second <= 60) & ~wrong_half
    return pl.when(is_clock).then(us)


def _offset_us() -> pl.Expr:
    zone = pl.col("zone")
    digits = zone.str.replace(":", "", literal=True).str.strip_chars("+-")
    size = digits.str.len_bytes()
    hours = digits.str.slice(0, pl.when(size == 3).then(1).otherwise(2)).cast(
        pl.Int64, strict=False
    )
    minutes = pl.when(size > 2).then(digits.str.tail(2).cast(pl.Int64, strict=False)).otherwise(0)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    offset = sign * (hours * 60 + minutes) * 60 * MICROS_PER_SECOND
    return (
        pl.when(zone.is_null() | (zone == ""))
        .then(None)
        .when(zone.str.to_uppercase().is_in(["Z", "UTC", "GMT", "UT"]))
        .then(pl.lit(0, pl.Int64))
        .otherwise(offset)
    )


def _number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64, strict=False)


def _century(year: pl.Expr) -> pl.Expr:
    """Two digits as POSIX reads them: 69 to 99 are of the last century."""
    return pl.when(year >= 69).then(year + 1900).otherwise(year + 2000)


def _days_in(year: pl.Expr, month: pl.Expr) -> pl.Expr:
    is_leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    february = pl.when(is_leap).then(29).otherwise(28)
    return (
        pl.when(month == 2).then(february).when(month.is_in([4, 6, 9, 11])).then(30).otherwise(31)
    )


def _days_since_epoch(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Days from 1970-01-01 in the Gregorian calendar (Hinnant, days_from_civil)."""
    y = pl.when(month <= 2).then(year - 1).otherwise(year)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
