"""Faults that single rows have: each a name and a polars expression, all asked in one pass."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.quality import Finding
from shared.rows.convert import EARLIEST_US
from shared.rows.schema import Column, Kind, RowSchema

_SHOWN_WORDS = 6


@dataclass(frozen=True, slots=True)
class RowCheck:
    """`violated` is true for each row that is wrong; null counts as right."""

    name: str
    column: str
    says: str
    violated: pl.Expr


def row_faults(snapshot: pl.DataFrame, schema: RowSchema, as_of_us: int) -> list[Finding]:
    """Every row check; a bad one is described by its count and its first row."""
    checks = list(row_checks(schema, as_of_us))
    found = snapshot.select(
        check.violated.fill_null(value=False).any().alias(str(at))
        for at, check in enumerate(checks)
    ).row(0)
    return [_describe(snapshot, check) for check, wrong in zip(checks, found, strict=True) if wrong]


def row_checks(schema: RowSchema, as_of_us: int) -> Iterator[RowCheck]:
    """The checks of a schema: its columns, the times, the label."""
    for column in schema.columns:
        yield from _CHECKS[column.kind](column)
    yield from _times(schema, as_of_us)
    yield from _labels(schema, as_of_us)


def _describe(snapshot: pl.DataFrame, check: RowCheck) -> Finding:
    wrong = snapshot.filter(check.violated)
    value, row = wrong[0, check.column], wrong[0, "row_id"]
    detail = f"{check.says} in {wrong.height} rows, e.g. {value!r} in row {row!r}"
    return Finding(check.name, check.column, detail, {"rows": wrong.height})


def _number(column: Column) -> Iterator[RowCheck]:
    name, value = column.name, pl.col(column.name)
    yield RowCheck(f"{name}_not_finite", name, "is not a finite number", ~value.is_finite())
    beyond = value.is_finite() & ((value < column.minimum) | (value > column.maximum))
    bounds = f"is outside of {column.minimum:g} to {column.maximum:g}"
    yield RowCheck(f"{name}_out_of_range", name, bounds, beyond)


def _category(column: Column) -> Iterator[RowCheck]:
    name, value = column.name, pl.col(column.name)
    yield RowCheck(f"{name}_missing", name, "is empty", value == "")
    if column.values:
        shown = ", ".join(column.values[:_SHOWN_WORDS])
        says = f"is not one of its values ({shown}): add it to them, or make the category open,"
        unknown = value.is_not_null() & ~value.is_in(list(column.values))
        yield RowCheck("new_category", name, says, unknown)


def _moment(column: Column) -> Iterator[RowCheck]:
    name, value = column.name, pl.col(column.name)
    yield RowCheck("ancient_moment", name, "lies before the year 1900", value < EARLIEST_US)
    far = value > pl.col("event_time") + 100 * 365 * MICROS_PER_DAY
    yield RowCheck("distant_moment", name, "lies a hundred years after its row", far)


def _flag(_column: Column) -> Iterator[RowCheck]:
    yield from ()


_CHECKS = {
    Kind.NUMBER: _number,
    Kind.CATEGORY: _category,
    Kind.MOMENT: _moment,
    Kind.FLAG: _flag,
}


def _times(schema: RowSchema, as_of_us: int) -> Iterator[RowCheck]:
    event, ingested = pl.col("event_time"), pl.col("ingested_at")
    late = event > as_of_us + MICROS_PER_DAY
    yield RowCheck("future_event", "event_time", "lies in the future", late)
    yield RowCheck("ancient_event", "event_time", "lies before the year 1900", event < EARLIEST_US)
    if schema.roles.time is not None:
        early = ingested < event - MICROS_PER_DAY
        yield RowCheck("ingested_before_event", "ingested_at", "is earlier than the event", early)


def _labels(schema: RowSchema, as_of_us: int) -> Iterator[RowCheck]:
    label, known = pl.col("label"), pl.col("label_known_at")
    without = label.is_not_null() & known.is_null()
    yield RowCheck("label_without_instant", "label_known_at", "is missing beside a label", without)
    early = known < pl.col("event_time")
    yield RowCheck("label_before_event", "label_known_at", "is earlier than the row", early)
    late = known > as_of_us
    yield RowCheck("label_from_future", "label_known_at", "is later than the snapshot", late)
    if schema.task.is_classification:
        classes = [float(at) for at in range(len(schema.task.names))]
        unknown = ~label.is_in(classes)
        yield RowCheck("label_unknown", "label", "is not one of the declared classes", unknown)
    elif schema.roles.label is not None:
        yield RowCheck("label_not_finite", "label", "is not a finite number", ~label.is_finite())
