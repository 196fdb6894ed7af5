"""Converts rows of a file into stored rows, with a reason for each rejected one.

Works on whole columns: the values first, then one problem after the other; a row without a problem
is accepted. An unusable optional value is dropped; its row is kept.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy import String

from shared.importing.files import PLACES, Piece
from shared.importing.mapping import INSTANTS, REQUIRED, STANDARD_DEFAULTS, TARGETS, Mapping
from shared.importing.numbers import PLAIN, read_numbers, tidy
from shared.importing.profile import Readings
from shared.importing.texts import EXACT_DOUBLE, SHORTENED, read_labels, read_texts
from shared.importing.times import read_instants
from shared.tables.schema import transaction_history_logs
from shared.transaction import EARLIEST_US, MAX_AHEAD_US, MAX_AMOUNT

_RANGES = {
    "lat": (-90.0, 90.0),
    "lon": (-180.0, 180.0),
    "home_lat": (-90.0, 90.0),
    "home_lon": (-180.0, 180.0),
    "utc_offset_min": (-840.0, 840.0),
}
NUMBERS = ("amount", *_RANGES)
IDENTIFIERS = ("transaction_id", "user_id", "merchant_id", "device_id")
TEXTS = tuple(name for name in TARGETS if name not in (*INSTANTS, *NUMBERS, "label"))
_LENGTHS = {
    column.name: column.type.length
    for column in transaction_history_logs.columns
    if isinstance(column.type, String) and column.type.length
}
_REASON = "reason"
_PROBLEM = "problem:"
_UNREADABLE_LABEL = "label is not a known word: kept without it (name them under [labels])"
Columns = dict[str, pl.Series]


@dataclass(frozen=True, slots=True)
class Converted:
    """Accepted rows with our columns; rejected ones as they came, with their reasons.

    Attributes:
        rejected: begins with the columns `row`, `line` and `reason`.
        losses: values that could not be used although their rows were, counted by why.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    losses: Counter[str]


def convert(piece: Piece, mapping: Mapping, readings: Readings, now_us: int) -> Converted:
    """Convert one piece of a file.

    Raises:
        MappingError: a column has a type that the mapping cannot read it as.
    """
    frame, losses = piece.frame, Counter[str]()
    columns: Columns = {}
    for name in TARGETS:
        columns |= _read(frame, mapping, readings, name, losses)
    values = _completed(pl.DataFrame(columns), mapping)
    problems = [pl.col(name) for name in values.columns if name.startswith(_PROBLEM)]
    told = pl.concat_str(
        [*problems, *_checks(values.columns, now_us)], separator="; ", ignore_nulls=True
    )
    reasons = values.select(told.alias(_REASON))[_REASON]
    bad = (reasons.str.len_bytes() > 0).fill_null(value=False)
    # columns of the file may have the same names as these
    places = pl.DataFrame({PLACES[0]: piece.rows, PLACES[1]: piece.lines, _REASON: reasons})
    theirs = frame.select(pl.col(name).alias(f"\0{name}") for name in mapping.sources)
    rejected = pl.concat([places, theirs], how="horizontal").filter(bad)
    accepted = values.filter(~bad).with_columns(pl.col("utc_offset_min").cast(pl.Int64))
    return Converted(accepted.select(TARGETS), rejected, losses)


def _read(
    frame: pl.DataFrame, mapping: Mapping, readings: Readings, name: str, losses: Counter[str]
) -> Columns:
    """One of our columns, and beside one that may fail to be read a column that says why."""
    default = mapping.defaults.get(name, STANDARD_DEFAULTS.get(name))
    theirs = [frame[source] for source in mapping.columns_of(name)]
    if not theirs:
        return {name: pl.Series(name, [default] * frame.height, dtype=_dtype(name))}
    if name in mapping.values:
        theirs = [_replaced(column, dict(mapping.values[name])) for column in theirs]
    if name in INSTANTS:
        read = read_instants(theirs, readings.times[name], name)
        return {name: read.value, _PROBLEM + name: read.problem}
    if name == "label":
        labels, unreadable = read_labels(theirs[0], mapping.labels)
        losses[_UNREADABLE_LABEL] += int(unreadable.sum())
        return {name: labels}
    if name in NUMBERS:
        return _number(theirs[0], readings, name, default)
    return _text(theirs[0], readings, name, default)


def _number(column: pl.Series, readings: Readings, name: str, default: object) -> Columns:
    if column.dtype == pl.String:
        value = read_numbers(column, readings.styles.get(name, PLAIN))
        said = tidy(column).is_not_null()
    else:
        # NaN means a missing number
        value = column.cast(pl.Float64, strict=False).fill_nan(None)
        said = column.is_not_null() & value.is_not_null()
    table = pl.DataFrame({"value": value, "said": said})
    unreadable = pl.col("said") & pl.col("value").is_null()
    reason = pl.lit(f"{name} is not a number (decimal and thousands: [numbers])")
    problem = table.select(pl.when(unreadable).then(reason).alias("p"))["p"]
    filled = value if default is None else value.fill_null(float(str(default)))
    return {name: filled, _PROBLEM + name: problem}


def _text(column: pl.Series, readings: Readings, name: str, default: object) -> Columns:
    value = read_texts(
        column, is_identifier=name in IDENTIFIERS, is_numeric=name in readings.numeric
    )
    filled = value if default is None else value.fill_null(str(default))
    if name not in IDENTIFIERS:
        return {name: filled}
    reason = f"{name} is a number that lost digits, like 4.5E+15 (export the column as text)"
    if column.dtype.is_float():
        lost = column.abs() >= EXACT_DOUBLE
    else:
        lost = value.str.contains(SHORTENED)
    table = pl.DataFrame({"lost": lost.fill_null(value=False)})
    problem = table.select(pl.when("lost").then(pl.lit(reason)).alias("p"))["p"]
    return {name: filled, _PROBLEM + name: problem}


def _replaced(column: pl.Series, values: dict[str, str]) -> pl.Series:
    texts = read_texts(column, is_identifier=False, is_numeric=True)
    return texts.replace(list(values), list(values.values()))


def _dtype(name: str) -> pl.DataType:
    if name in INSTANTS:
        return pl.Int64()
    if name in NUMBERS:
        return pl.Float64()
    return pl.Int8() if name == "label" else pl.String()


def _completed(values: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """A label without an instant became known after the usual delay; no label, no instant."""
    labelled = pl.col("label").is_not_null()
    known_at = pl.coalesce("label_known_at", pl.col("event_time") + mapping.time.label_delay_us)
    lonely = [
        pl.when(pl.col(other).is_not_null()).then(name)
        for pair in (("lat", "lon"), ("home_lat", "home_lon"))
        for name, other in (pair, pair[::-1])
    ]
    return values.with_columns(
        pl.col("currency").str.to_uppercase(),
        pl.coalesce("ingested_at", "event_time"),
        pl.when(labelled).then(known_at).alias("label_known_at"),
        pl.when(labelled).then(pl.col("label_source")).alias("label_source"),
        *lonely,
    )


def _checks(columns: Sequence[str], now_us: int) -> Iterator[pl.Expr]:
    """The problems of values that could be parsed; null: no problem."""
    for name in REQUIRED:
        missing = pl.col(name).is_null()
        if _PROBLEM + name in columns:
            # values that could not be parsed have been reported already
            missing &= pl.col(_PROBLEM + name).is_null()
        yield _problem(missing, f"{name} is missing")
    for name, length in _LENGTHS.items():
        too_long = pl.col(name).str.len_chars() > length
        yield _problem(too_long, f"{name} is longer than {length} characters")
        yield _problem(pl.col(name).str.contains(r"\p{Cc}"), f"{name} holds control characters")
    yield _problem(~pl.col("currency").str.contains(r"^[A-Z]{3}$"), "currency is not three letters")
    yield from _amount_checks()
    yield from _time_checks(now_us)
    yield from _place_checks()


def _amount_checks() -> Iterator[pl.Expr]:
    amount = pl.col("amount")
    yield _problem(amount.is_infinite(), "amount is not finite")
    yield _problem(amount < 0, "amount is negative")
    yield _problem(amount.is_finite() & (amount > MAX_AMOUNT), f"amount is above {MAX_AMOUNT:g}")


def _time_checks(now_us: int) -> Iterator[pl.Expr]:
    for name in ("event_time", "ingested_at"):
        ahead = pl.col(name) > now_us + MAX_AHEAD_US
        yield _problem(ahead, f"{name} is more than a day in the future")
        yield _problem(pl.col(name) < EARLIEST_US, f"{name} is before 2000")
    early = pl.col("ingested_at") < pl.col("event_time") - MAX_AHEAD_US
    yield _problem(early, "ingested_at is more than a day before event_time")
    early = pl.col("label_known_at") < pl.col("event_time")
    yield _problem(early, "label_known_at is before event_time")


def _place_checks() -> Iterator[pl.Expr]:
    for name, (lowest, highest) in _RANGES.items():
        outside = ~pl.col(name).is_between(lowest, highest)
        yield _problem(outside, f"{name} is not in {lowest:g} to {highest:g}")


def _problem(condition: pl.Expr, reason: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(reason))
