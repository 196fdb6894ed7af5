"""Turns rows of a file into rows of ours, and says of each that cannot be why.

Whole columns at a time: the values first, then one problem after the other; a row without a
problem is accepted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy import String

from shared.clock import MICROS_PER_DAY
from shared.importing.mapping import REQUIRED, STANDARD_DEFAULTS, TARGETS, Mapping
from shared.importing.times import instant
from shared.importing.values import label, number, text
from shared.tables.schema import transaction_history_logs

MAX_AHEAD_US = MICROS_PER_DAY
# Far above any payment; more would overflow the float32 features are made of.
MAX_AMOUNT = 1e12

_INSTANTS = ("event_time", "ingested_at", "label_known_at")
_RANGES = {
    "lat": (-90.0, 90.0),
    "lon": (-180.0, 180.0),
    "home_lat": (-90.0, 90.0),
    "home_lon": (-180.0, 180.0),
    "utc_offset_min": (-840.0, 840.0),
}
_NUMBERS = ("amount", *_RANGES)
_LENGTHS = {
    column.name: column.type.length
    for column in transaction_history_logs.columns
    if isinstance(column.type, String) and column.type.length
}
_REASON = "reason"
_PROBLEM = "problem:"


@dataclass(frozen=True, slots=True)
class Converted:
    """Accepted rows with our columns; rejected ones as they came, with their reasons.

    `rejected` begins with the columns `row` and `reason`.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame


def convert(frame: pl.DataFrame, mapping: Mapping, now_us: int, first_row: int) -> Converted:
    """Convert one piece of a file; `first_row` is the number of its first row.

    Raises:
        MappingError: a column has a type that the mapping cannot read it as.
    """
    values = _completed(frame.select(_readings(frame, mapping)), mapping)
    problems = [pl.col(name) for name in values.columns if name.startswith(_PROBLEM)]
    told = pl.concat_str(
        [*problems, *_checks(values.columns, now_us)], separator="; ", ignore_nulls=True
    )
    reasons = values.select(told.alias(_REASON))[_REASON]
    bad = (reasons.str.len_bytes() > 0).fill_null(value=False)
    numbers = pl.Series("row", range(first_row, first_row + frame.height), pl.Int64)
    rejected = frame.with_columns(numbers, reasons).filter(bad)
    accepted = values.filter(~bad).with_columns(pl.col("utc_offset_min").cast(pl.Int64))
    return Converted(accepted.select(TARGETS), rejected.select("row", _REASON, *mapping.sources))


def _readings(frame: pl.DataFrame, mapping: Mapping) -> Iterator[pl.Expr]:
    """Our columns, and beside each that may fail to be read a column that says why."""
    for name in TARGETS:
        value, problem = _reading(frame, mapping, name)
        yield value.alias(name)
        if problem is not None:
            yield problem.alias(_PROBLEM + name)


def _reading(frame: pl.DataFrame, mapping: Mapping, name: str) -> tuple[pl.Expr, pl.Expr | None]:
    default = mapping.defaults.get(name, STANDARD_DEFAULTS.get(name))
    source = mapping.columns.get(name)
    if source is None:
        return pl.lit(default, _dtype(name)), None
    dtype = frame.schema[source]
    if name in _INSTANTS:
        read = instant(source, dtype, mapping.time, name)
        return read.value, read.problem
    if name == "label" or name in _NUMBERS:
        value = label(source, dtype) if name == "label" else number(source, dtype)
        wanted = "0 or 1" if name == "label" else "a number"
        unreadable = text(source, dtype).is_not_null() & value.is_null()
        problem = pl.when(unreadable).then(pl.lit(f"{name} is not {wanted}"))
        filled = value if default is None else value.fill_null(pl.lit(default))
        return filled, problem
    value = text(source, dtype)
    return (value if default is None else value.fill_null(pl.lit(default))), None


def _dtype(name: str) -> pl.DataType:
    if name in _INSTANTS:
        return pl.Int64()
    if name in _NUMBERS:
        return pl.Float64()
    return pl.Int8() if name == "label" else pl.String()


def _completed(values: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """A label without an instant became known after the usual delay; no label, no instant."""
    labelled = pl.col("label").is_not_null()
    known_at = pl.coalesce("label_known_at", pl.col("event_time") + mapping.time.label_delay_us)
    return values.with_columns(
        pl.col("currency").str.to_uppercase(),
        pl.coalesce("ingested_at", "event_time"),
        pl.when(labelled).then(known_at).alias("label_known_at"),
        pl.when(labelled).then(pl.col("label_source")).alias("label_source"),
    )


def _checks(columns: Sequence[str], now_us: int) -> Iterator[pl.Expr]:
    """What a value that could be read may still be wrong about; null is no problem."""
    for name in REQUIRED:
        missing = pl.col(name).is_null()
        if _PROBLEM + name in columns:
            # one that could not be read has been told already
            missing &= pl.col(_PROBLEM + name).is_null()
        yield _problem(missing, f"{name} is missing")
    for name, length in _LENGTHS.items():
        too_long = pl.col(name).str.len_chars() > length
        yield _problem(too_long, f"{name} is longer than {length} characters")
        yield _problem(pl.col(name).str.contains(r"\p{C}"), f"{name} holds control characters")
    yield _problem(~pl.col("currency").str.contains(r"^[A-Z]{3}$"), "currency is not three letters")
    yield from _amount_checks()
    yield from _time_checks(now_us)
    yield from _place_checks()


def _amount_checks() -> Iterator[pl.Expr]:
    amount = pl.col("amount")
    yield _problem(amount.is_nan() | amount.is_infinite(), "amount is not finite")
    yield _problem(amount < 0, "amount is negative")
    yield _problem(amount.is_finite() & (amount > MAX_AMOUNT), f"amount is above {MAX_AMOUNT:g}")


def _time_checks(now_us: int) -> Iterator[pl.Expr]:
    for name in ("event_time", "ingested_at"):
        ahead = pl.col(name) > now_us + MAX_AHEAD_US
        yield _problem(ahead, f"{name} is more than a day in the future")
        yield _problem(pl.col(name) < 0, f"{name} is before 1970")
    early = pl.col("label_known_at") < pl.col("event_time")
    yield _problem(early, "label_known_at is before event_time")


def _place_checks() -> Iterator[pl.Expr]:
    for name, (lowest, highest) in _RANGES.items():
        outside = ~pl.col(name).is_between(lowest, highest)
        yield _problem(outside, f"{name} is not in {lowest:g} to {highest:g}")
    for lat, lon in (("lat", "lon"), ("home_lat", "home_lon")):
        alone = pl.col(lat).is_null() != pl.col(lon).is_null()
        yield _problem(alone, f"{lat} and {lon} come only together")


def _problem(condition: pl.Expr, told: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(told))
