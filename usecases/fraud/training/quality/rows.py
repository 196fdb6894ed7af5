"""The checks that need no other days, and the quarantine of a few wrong rows.

Columns that are absent or of another type; faults of single rows, each a name and a polars
expression, all asked in one pass; faults of the whole: too few rows or labels, one class only,
nothing new for days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from learning.dataset.scanned import ScannedRows, Snapshot
from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND, isoformat
from shared.usecase.learning import Quarantine
from shared.verdicts import Finding, Number, Severity

from ..policy import QualityPolicy
from ..snapshot import SCHEMA
from .context import Context

EARLIEST_US = 946_684_800 * MICROS_PER_SECOND
"""The year 2000: instants before it are seconds or milliseconds taken for microseconds."""

_MINUTES_PER_DAY = 24 * 60

FEW_ROWS = 10
"""The number of rows that counts as few in a snapshot of any size."""


def schema_faults(rows: Snapshot) -> list[Finding]:
    """Faults of the schema; while there are any, checks of values are meaningless."""
    snapshot = rows.schema.to_frame() if isinstance(rows, ScannedRows) else rows
    schema = pa.DataFrameSchema(
        {name: pa.Column(dtype, nullable=True) for name, dtype in SCHEMA.items()}
    )
    try:
        # An explicit depth: otherwise an environment variable could disable checks.
        with config_context(validation_depth=ValidationDepth.SCHEMA_ONLY):
            schema.validate(snapshot, lazy=True)
    except SchemaErrors as errors:
        return [_finding(snapshot, error) for error in errors.schema_errors]
    return []


def _finding(snapshot: pl.DataFrame, error: SchemaError) -> Finding:
    """A check that broke is not a fault of the data, so it is passed on."""
    match error.reason_code:
        case SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
            column = str(error.failure_cases)
            return Finding("column_absent", column, "is absent", {"columns": 1}, Severity.RUIN)
        case SchemaErrorReason.WRONG_DATATYPE:
            column = str(error.schema.name)
            found = snapshot.schema[column]
            says = f"is {found}, expected {SCHEMA[column]}"
            return Finding("column_type", column, says, {"found": str(found)}, Severity.RUIN)
        case _:
            raise error


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


def total_faults(snapshot: Snapshot, context: Context) -> list[Finding]:
    label = pl.col("label")
    known = snapshot.select(
        rows=pl.len(),
        labelled=label.is_not_null().sum(),
        positives=(label == 1).sum(),
        negatives=(label == 0).sum(),
        newest=pl.col("event_time").max(),
        amounts=pl.col("amount").min() != pl.col("amount").max(),
    ).row(0, named=True)
    return [
        *_too_few(known, context),
        *_one_sided(known, context),
        *_stale(known["newest"], context),
        *_same_amount(known),
    ]


def _too_few(known: Mapping[str, int], context: Context) -> list[Finding]:
    policy = context.policy
    floors = (
        ("too_few_rows", "transaction_id", "rows", "rows", policy.min_rows),
        ("too_few_labels", "label", "labelled", "labelled rows", policy.min_labelled_rows),
    )
    return [
        _ruin(fault, column, f"has {known[key]} {what}, at least {floor} are needed", known[key])
        for fault, column, key, what, floor in floors
        if known[key] < floor
    ]


def _one_sided(known: Mapping[str, int], context: Context) -> list[Finding]:
    policy, positives = context.policy, known["positives"]
    found = []
    if positives == 0:
        found.append(_ruin("no_positive_label", "label", "is never positive", 0))
    elif positives < policy.min_positives:
        says = f"is positive {positives} times, at least {policy.min_positives} are needed"
        found.append(_ruin("too_few_positives", "label", says, positives))
    if known["negatives"] == 0:
        found.append(_ruin("no_negative_label", "label", "is never negative", 0))
    share = positives / max(1, known["labelled"])
    if share > policy.max_positive_share:
        limit = policy.max_positive_share
        says = f"is positive in {share:.1%} of labelled rows, above {limit:.0%} it looks flipped"
        found.append(_ruin("labels_flipped", "label", says, share))
    return found


def _stale(newest: int | None, context: Context) -> list[Finding]:
    if newest is None:
        return []
    age, limit = (context.as_of_us - newest) / MICROS_PER_DAY, context.policy.max_age_days
    if age <= limit:
        return []
    moment = isoformat(context.as_of_us)
    says = (
        f"is {age:.1f} days before {moment} in the newest row, at most {limit:g} are allowed "
        "(data that ended long ago: TRAIN_AS_OF=end-of-data)"
    )
    return [_ruin("stale_data", "event_time", says, age)]


def _same_amount(known: Mapping[str, int]) -> list[Finding]:
    if known["rows"] < 2 or known["amounts"]:
        return []
    return [_ruin("amount_constant", "amount", f"is the same in all {known['rows']} rows", 1)]


def _ruin(fault: str, column: str, says: str, figure: Number) -> Finding:
    return Finding(fault, column, says, {"measured": figure}, Severity.RUIN)


def quarantine(snapshot: pl.DataFrame, as_of_us: int, policy: QualityPolicy) -> Quarantine:
    """The snapshot without wrong rows; unchanged where there are more than the policy allows.

    The data-quality gate names the remaining wrong rows, and fails.
    """
    found = wrong_rows(snapshot, as_of_us, policy)
    if found is None:
        return Quarantine(snapshot, {}, 0)
    is_wrong, faults = found
    return Quarantine(snapshot.filter(~is_wrong), faults, int(is_wrong.sum()))


def wrong_rows(
    snapshot: Snapshot, as_of_us: int, policy: QualityPolicy
) -> tuple[pl.Series, dict[str, int]] | None:
    """A mask of wrong rows, and their faults by name; None where no row is to be left out."""
    if schema_faults(snapshot):
        return None
    checks = row_checks(Context(as_of_us, policy, None))
    violated = [check.violated.fill_null(value=False) for check in checks]
    is_wrong = snapshot.select(pl.any_horizontal(violated).alias("wrong"))["wrong"]
    rows = int(is_wrong.sum())
    if not 0 < rows <= max(FEW_ROWS, policy.max_quarantined_share * snapshot.height):
        return None
    counts = snapshot.select(
        *(each.sum().alias(check.name) for each, check in zip(violated, checks, strict=True))
    )
    faults = {name: int(count) for name, count in counts.row(0, named=True).items() if count}
    return is_wrong, faults
