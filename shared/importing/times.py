"""Reads instants out of whatever a file holds: timestamps, numbers or texts."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND
from shared.importing.texts import read_texts
from shared.importing.time_texts import Order, read_time_texts

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
