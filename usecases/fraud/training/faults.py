"""What can be wrong with a snapshot: small named checks, each a polars expression.

A row check says which rows are wrong; a table check says whether the whole is. The name of a
check is the name of the fault it finds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND, isoformat
from usecases.fraud.training.policy import QualityPolicy

EARLIEST_US = 946_684_800 * MICROS_PER_SECOND
"""The year 2000: instants before it are seconds or milliseconds taken for microseconds."""

_MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a check may depend on besides the rows."""

    as_of_us: int
    policy: QualityPolicy


@dataclass(frozen=True, slots=True)
class RowCheck:
    """`violated` is true for each row that is wrong; null counts as right."""

    name: str
    column: str
    says: str
    violated: pl.Expr


@dataclass(frozen=True, slots=True)
class TableCheck:
    """`violated` is one truth value; `measured` is the figure it rests on."""

    name: str
    column: str
    says: str
    violated: pl.Expr
    measured: pl.Expr


Check = RowCheck | TableCheck


def row_checks(circumstances: Circumstances) -> Sequence[RowCheck]:
    """Faults that single rows have."""
    policy = circumstances.policy
    latest = circumstances.as_of_us + round(policy.max_ahead_seconds * MICROS_PER_SECOND)
    event, ingested, amount = pl.col("event_time"), pl.col("ingested_at"), pl.col("amount")
    label, known = pl.col("label"), pl.col("label_known_at")
    return (
        *(_missing(name) for name in ("transaction_id", "user_id", "merchant_id")),
        *(_missing(name) for name in ("currency", "transaction_type")),
        *(_null(name) for name in ("event_time", "ingested_at", "amount")),
        RowCheck(
            "repeated_transaction",
            "transaction_id",
            "occurs more than once",
            pl.col("transaction_id").is_duplicated(),
        ),
        RowCheck("future_event", "event_time", "lies in the future", event > latest),
        RowCheck("ancient_event", "event_time", "lies before the year 2000", event < EARLIEST_US),
        RowCheck(
            "ingested_before_event",
            "ingested_at",
            "is earlier than the event",
            ingested < event - round(policy.max_ahead_seconds * MICROS_PER_SECOND),
        ),
        RowCheck("amount_not_finite", "amount", "is not a finite number", ~amount.is_finite()),
        RowCheck("amount_negative", "amount", "is negative", amount < 0),
        RowCheck(
            "amount_too_large",
            "amount",
            f"is above {policy.max_amount:g}",
            amount > policy.max_amount,
        ),
        RowCheck("label_not_binary", "label", "is neither 0 nor 1", ~label.is_in([0, 1])),
        RowCheck(
            "label_without_instant",
            "label_known_at",
            "is missing beside a label",
            label.is_not_null() & known.is_null(),
        ),
        RowCheck(
            "label_before_event", "label_known_at", "is earlier than the event", known < event
        ),
        RowCheck(
            "label_from_future",
            "label_known_at",
            "is later than the snapshot",
            known > circumstances.as_of_us,
        ),
        *(_beyond(name, 90.0) for name in ("lat", "home_lat")),
        *(_beyond(name, 180.0) for name in ("lon", "home_lon")),
        _beyond("utc_offset_min", _MINUTES_PER_DAY),
    )


def table_checks(circumstances: Circumstances) -> Sequence[TableCheck]:
    """Faults that only the whole shows."""
    policy = circumstances.policy
    rows, labelled = pl.len(), pl.col("label").is_not_null().sum()
    positives, negatives = (pl.col("label") == 1).sum(), (pl.col("label") == 0).sum()
    age = (circumstances.as_of_us - pl.col("event_time").max()) / MICROS_PER_DAY
    share = positives / labelled
    moment = isoformat(circumstances.as_of_us)
    return (
        TableCheck(
            "too_few_rows",
            "transaction_id",
            f"rows; at least {policy.min_rows} are needed",
            rows < policy.min_rows,
            rows,
        ),
        TableCheck(
            "too_few_labels",
            "label",
            f"labelled rows; at least {policy.min_labelled_rows} are needed",
            labelled < policy.min_labelled_rows,
            labelled,
        ),
        TableCheck("no_positive_label", "label", "positive labels", positives == 0, positives),
        TableCheck("no_negative_label", "label", "negative labels", negatives == 0, negatives),
        TableCheck(
            "too_few_positives",
            "label",
            f"positive labels; at least {policy.min_positives} are needed",
            positives.is_between(1, policy.min_positives, closed="left"),
            positives,
        ),
        TableCheck(
            "labels_flipped",
            "label",
            f"of the labels are positive; above {policy.max_positive_share:g} they look flipped",
            share > policy.max_positive_share,
            share,
        ),
        TableCheck(
            "stale_data",
            "event_time",
            f"days before {moment} is the newest row; at most {policy.max_age_days:g} are allowed",
            age > policy.max_age_days,
            age,
        ),
        TableCheck(
            "amount_constant",
            "amount",
            "different amounts in all rows",
            (pl.col("amount").n_unique() == 1) & (rows > 1),
            pl.col("amount").n_unique(),
        ),
    )


def _missing(column: str) -> RowCheck:
    value = pl.col(column)
    return RowCheck(
        f"{column}_missing", column, "is missing or empty", value.is_null() | (value == "")
    )


def _null(column: str) -> RowCheck:
    return RowCheck(f"{column}_missing", column, "is missing", pl.col(column).is_null())


def _beyond(column: str, limit: float) -> RowCheck:
    return RowCheck(
        f"{column}_out_of_range",
        column,
        f"is beyond ±{limit:g}",
        ~pl.col(column).is_between(-limit, limit),
    )
