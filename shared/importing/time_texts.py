"""Dates and times as exports write them, split into numbers.

Four families of dates, each a pattern over the whole text, are tried one after the other on
what the one before could not read. Which of day and month comes first in 05/01/2026 is decided
for the whole column before (`shared.importing.profile`).
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND
from shared.importing.texts import strip
from shared.instant_texts import DAY_FIRST, FAMILIES, MAX_OFFSET_MINUTES, MONTH_FIRST, MONTHS

Order = Literal["day first", "month first"]

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
