"""Reads instants out of whatever a file holds: timestamps, numbers or text."""

from dataclasses import dataclass

import polars as pl

from shared.clock import MICROS_PER_SECOND
from shared.importing.mapping import MappingError, TimeRules

# A zone counts only behind a time of day: the -05 of 2026-01-05 is a day.
_WITH_ZONE = r"(?i)^(.*\d:\d{2}(?:\.\d+)?)\s*(Z|[+-]\d{2}:?\d{2}|[+-]\d{2})$"
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_UNIT_US = {"s": MICROS_PER_SECOND, "ms": 1_000, "us": 1}


@dataclass(frozen=True, slots=True)
class Instant:
    """How to compute an instant in microseconds, and why it may be null."""

    value: pl.Expr
    problem: pl.Expr


def instant(source: str, dtype: pl.DataType, rules: TimeRules, name: str) -> Instant:
    """Read a column as instants; `name` is what to call it in a problem.

    Raises:
        MappingError: the column's type needs a rule that the mapping does not state.
    """
    raw = pl.col(source)
    if isinstance(dtype, pl.Datetime):
        return _plain(_from_datetime(raw, dtype, rules, source), raw, name)
    if isinstance(dtype, pl.Date):
        return _plain(_in_zone(raw.cast(pl.Datetime("us")), rules, source), raw, name)
    if dtype.is_numeric():
        return _plain(_from_number(raw, rules, source), raw, name)
    if dtype != pl.String:
        raise MappingError(f"column {source!r} holds {dtype}, which is no instant")
    if rules.unit is not None:
        return _plain(_from_number(raw.str.strip_chars(), rules, source), raw, name)
    if rules.format is not None:
        return _plain(_from_format(raw, rules, source), raw, name)
    return _from_text(raw.str.strip_chars(), rules, name)


def _plain(value: pl.Expr, raw: pl.Expr, name: str) -> Instant:
    return Instant(value, _unreadable(value, raw, name))


def _unreadable(value: pl.Expr, raw: pl.Expr, name: str) -> pl.Expr:
    return pl.when(raw.is_not_null() & value.is_null()).then(
        pl.lit(f"{name} is not a date and time")
    )


def _from_datetime(raw: pl.Expr, dtype: pl.Datetime, rules: TimeRules, source: str) -> pl.Expr:
    if dtype.time_zone is not None:
        return raw.dt.timestamp("us")
    return _in_zone(raw.cast(pl.Datetime("us")), rules, source)


def _from_number(raw: pl.Expr, rules: TimeRules, source: str) -> pl.Expr:
    if rules.unit is None:
        raise MappingError(
            f"column {source!r} holds numbers; say what they count since 1970, "
            'e.g. unit = "s" under [time]'
        )
    scale = _UNIT_US[rules.unit]
    # whole numbers stay whole: a float has not enough digits for microseconds of today
    whole = raw.cast(pl.Int64, strict=False) * scale
    parts = (raw.cast(pl.Float64, strict=False) * scale).round().cast(pl.Int64, strict=False)
    exact = raw.cast(pl.Float64, strict=False) % 1.0 == 0.0
    return pl.when(exact & whole.is_not_null()).then(whole).otherwise(parts)


def _from_format(raw: pl.Expr, rules: TimeRules, source: str) -> pl.Expr:
    written = rules.format or ""
    parsed = raw.str.to_datetime(written, time_unit="us", strict=False)
    if "%z" in written or "%:z" in written or "%#z" in written:
        return parsed.dt.timestamp("us")
    return _in_zone(parsed, rules, source)


def _in_zone(naive: pl.Expr, rules: TimeRules, source: str) -> pl.Expr:
    """The instant of a local time; the first of two, and none where a clock jumped over it."""
    if rules.zone is None:
        raise MappingError(
            f'column {source!r} names no time zone; write e.g. zone = "UTC" under [time]'
        )
    local = naive.dt.replace_time_zone(rules.zone, ambiguous="earliest", non_existent="null")
    return local.dt.timestamp("us")


def _from_text(text: pl.Expr, rules: TimeRules, name: str) -> Instant:
    zone = text.str.extract(_WITH_ZONE, 2)
    bare = pl.coalesce(text.str.extract(_WITH_ZONE, 1), text).str.replace("T", " ", literal=True)
    naive = pl.coalesce(
        [bare.str.to_datetime(form, time_unit="us", strict=False) for form in _FORMATS]
    )
    stated = naive.dt.timestamp("us") - _offset_us(zone)
    unreadable = pl.when(text.is_not_null() & naive.is_null())
    problem = unreadable.then(pl.lit(f"{name} is not a date and time"))
    if rules.zone is None:
        return Instant(
            stated,
            problem.when(text.is_not_null() & zone.is_null()).then(
                pl.lit(f"{name} names no time zone")
            ),
        )
    value = pl.when(zone.is_null()).then(_in_zone(naive, rules, name)).otherwise(stated)
    jumped = text.is_not_null() & value.is_null()
    return Instant(value, problem.when(jumped).then(pl.lit(f"{name} does not exist there")))


def _offset_us(zone: pl.Expr) -> pl.Expr:
    digits = zone.str.replace(":", "", literal=True)
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    offset = sign * (hours * 60 + minutes) * 60 * MICROS_PER_SECOND
    return pl.when(zone.str.to_uppercase() == "Z").then(pl.lit(0, pl.Int64)).otherwise(offset)
