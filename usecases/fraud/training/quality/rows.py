"""Faults that single rows have: each a name and a polars expression, all asked in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.clock import MICROS_PER_SECOND
from shared.quality.finding import Finding

from .context import Context

EARLIEST_US = 946_684_800 * MICROS_PER_SECOND
"""The year 2000: instants before it are seconds or milliseconds taken for microseconds."""

_MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class TransactionCheck:
    """`violated` is true for each row that is wrong; null counts as right."""

    name: str
    column: str
    says: str
    violated: pl.Expr


def row_faults(snapshot: Snapshot, context: Context) -> list[Finding]:
    """Every row check; a bad one is described by its count and its first row."""
    checks = row_checks(context)
    found = snapshot.select(
        *(check.violated.fill_null(value=False).any().alias(check.name) for check in checks)
    ).row(0, named=True)
    return [_describe(snapshot, check) for check in checks if found[check.name]]


def _describe(snapshot: Snapshot, check: TransactionCheck) -> Finding:
    wrong = snapshot.lazy().filter(check.violated).collect()
    value, row = wrong[0, check.column], wrong[0, "transaction_id"]
    detail = f"{check.says} in {wrong.height} rows, e.g. {value!r} in transaction {row!r}"
    return Finding(check.name, check.column, detail, {"rows": wrong.height})


def row_checks(context: Context) -> Sequence[TransactionCheck]:
    return (*_completeness(), *_times(context), *_amounts(context), *_labels(context), *_places())


def _completeness() -> Sequence[TransactionCheck]:
    texts = ("transaction_id", "user_id", "merchant_id", "currency", "transaction_type")
    return (
        *(_missing(name) for name in texts),
        *(_null(name) for name in ("event_time", "ingested_at", "amount")),
    )


def _times(context: Context) -> Sequence[TransactionCheck]:
    ahead = round(context.policy.max_ahead_seconds * MICROS_PER_SECOND)
    event, ingested = pl.col("event_time"), pl.col("ingested_at")
    latest = context.as_of_us + ahead
    return (
        TransactionCheck("future_event", "event_time", "lies in the future", event > latest),
        TransactionCheck(
            "ancient_event", "event_time", "lies before the year 2000", event < EARLIEST_US
        ),
        TransactionCheck(
            "ingested_before_event",
            "ingested_at",
            "is earlier than the event",
            ingested < event - ahead,
        ),
    )


def _amounts(context: Context) -> Sequence[TransactionCheck]:
    amount, limit = pl.col("amount"), context.policy.max_amount
    above = amount.is_finite() & (amount > limit)
    return (
        TransactionCheck(
            "amount_not_finite", "amount", "is not a finite number", ~amount.is_finite()
        ),
        TransactionCheck("amount_negative", "amount", "is negative", amount < 0),
        TransactionCheck("amount_too_large", "amount", f"is above {limit:g}", above),
    )


def _labels(context: Context) -> Sequence[TransactionCheck]:
    label, known, event = pl.col("label"), pl.col("label_known_at"), pl.col("event_time")
    column = "label_known_at"
    without = label.is_not_null() & known.is_null()
    late = known > context.as_of_us
    return (
        TransactionCheck("label_not_binary", "label", "is neither 0 nor 1", ~label.is_in([0, 1])),
        TransactionCheck("label_without_instant", column, "is missing beside a label", without),
        TransactionCheck("label_before_event", column, "is earlier than the event", known < event),
        TransactionCheck("label_from_future", column, "is later than the snapshot", late),
    )


def _places() -> Sequence[TransactionCheck]:
    return (
        *(_infinite(name) for name in ("lat", "lon", "home_lat", "home_lon")),
        *(_beyond(name, 90.0) for name in ("lat", "home_lat")),
        *(_beyond(name, 180.0) for name in ("lon", "home_lon")),
        _beyond("utc_offset_min", _MINUTES_PER_DAY),
    )


def _missing(column: str) -> TransactionCheck:
    value = pl.col(column)
    bad = value.is_null() | (value == "")
    return TransactionCheck(f"{column}_missing", column, "is missing or empty", bad)


def _null(column: str) -> TransactionCheck:
    return TransactionCheck(f"{column}_missing", column, "is missing", pl.col(column).is_null())


def _infinite(column: str) -> TransactionCheck:
    bad = ~pl.col(column).is_finite()
    return TransactionCheck(f"{column}_not_finite", column, "is not a finite number", bad)


def _beyond(column: str, limit: float) -> TransactionCheck:
    value = pl.col(column)
    bad = value.is_finite() & (value.abs() > limit)
    return TransactionCheck(f"{column}_out_of_range", column, f"is beyond ±{limit:g}", bad)
