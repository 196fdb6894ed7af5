"""The checks that need no other rows to compare with: of single rows, and of the whole.

A check of single rows is a name and a polars expression, all asked in one pass. The whole may be
too small or too old, have ids twice, or words with one hash.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.rows.convert import EARLIEST_US
from shared.rows.encoder import MAX_SLOTS, colliding_words
from shared.rows.schema import Column, Kind, RowSchema
from shared.tasks import TaskKind
from shared.verdicts import Finding, Number, Severity

MIN_ROWS = 100
MIN_LABELLED = 50
MIN_OF_A_CLASS = 10
REPEATED_SHARE = 0.2
_MIN_REPEATED = 50

_SHOWN_WORDS = 6


def total_faults(snapshot: pl.DataFrame, schema: RowSchema) -> list[Finding]:
    """Faults of the totals: too few rows or labels to learn from."""
    labelled = snapshot.filter(pl.col("label").is_not_null())
    found = []
    for fault, count, least, what in (
        ("too_few_rows", snapshot.height, MIN_ROWS, "rows"),
        ("too_few_labels", labelled.height, MIN_LABELLED, "labelled rows"),
    ):
        if count < least:
            says = f"{count} {what}, at least {least} are needed"
            found.append(Finding(fault, "snapshot", says, {"rows": count}, Severity.RUIN))
    return found or _of_classes(labelled, schema) or _of_values(labelled, schema)


def _of_classes(labelled: pl.DataFrame, schema: RowSchema) -> list[Finding]:
    if not schema.task.is_classification:
        return []
    counts = dict(labelled["label"].value_counts().iter_rows())
    found = []
    for at, name in enumerate(schema.task.names):
        count = int(counts.get(float(at), 0))
        if count < MIN_OF_A_CLASS:
            says = (
                f"has {count} rows of class {name!r}, at least {MIN_OF_A_CLASS} are needed: bring "
                "more, or put it together with another class"
            )
            numbers: dict[str, Number] = {"rows": count, "class": name}
            found.append(Finding("too_few_of_a_class", "label", says, numbers, Severity.RUIN))
    return found


def _of_values(labelled: pl.DataFrame, schema: RowSchema) -> list[Finding]:
    if schema.task.kind is not TaskKind.REGRESSION or labelled["label"].n_unique() > 1:
        return []
    value = labelled["label"][0]
    says = f"is {value!r} in every labelled row: no training is possible"
    return [Finding("label_constant", "label", says, {"rows": labelled.height}, Severity.RUIN)]


def repeated_rows(snapshot: pl.DataFrame, schema: RowSchema) -> list[Finding]:
    """Ids that occur twice, and rows that are similar in everything that is declared."""
    found = []
    twice = snapshot.filter(pl.col("row_id").is_duplicated())
    if twice.height:
        says = f"is there more than once in {twice.height} rows, e.g. {twice[0, 'row_id']!r}"
        found.append(Finding("row_id_repeated", "row_id", says, {"rows": twice.height}))
    same = int(snapshot.select("entity", "event_time", *schema.names).is_duplicated().sum())
    # only with entity and time: otherwise equal rows are not repetitions
    is_told = schema.roles.entity is not None and schema.roles.time is not None
    if is_told and same > max(_MIN_REPEATED, REPEATED_SHARE * snapshot.height):
        says = f"{same} rows repeat another one in every column: was a file imported twice?"
        found.append(Finding("rows_repeated", "snapshot", says, {"rows": same}))
    return found


def stale_rows(
    snapshot: pl.DataFrame, schema: RowSchema, as_of_us: int, max_age_us: int | None
) -> list[Finding]:
    """A newest row older than the rows span: the feed has stopped. A notice, unless bounded."""
    if schema.roles.time is None or not snapshot.height:
        return []
    newest, oldest = snapshot["event_time"].max(), snapshot["event_time"].min()
    age_us = as_of_us - int(newest)  # type: ignore[arg-type]
    limit_us = max_age_us or int(newest) - int(oldest)  # type: ignore[arg-type]
    if age_us <= max(limit_us, MICROS_PER_DAY):
        return []
    days = age_us / MICROS_PER_DAY
    says = f"the newest row is {days:.0f} days old: has the source stopped?"
    severity = Severity.NOTICE if max_age_us is None else Severity.FAULT
    return [Finding("stale", "event_time", says, {"days": round(days, 1)}, severity)]


def hash_collisions(snapshot: pl.DataFrame, schema: RowSchema) -> list[Finding]:
    """Words of an open category that no model can distinguish."""
    found = []
    for column in schema.columns:
        if not column.is_open:
            continue
        words = snapshot[column.name].drop_nulls().unique(maintain_order=True)
        duplicates = colliding_words(words, column.hash_slots)
        if not duplicates:
            continue
        word, other = next(iter(duplicates.items()))
        remedy = (
            f'write {column.name} = {{ kind = "category", slots = {MAX_SLOTS} }}'
            if column.hash_slots < MAX_SLOTS
            else "rename one of them"
        )
        says = f"has the words {word!r} and {other!r} with one hash: {remedy}"
        numbers: dict[str, Number] = {"words": len(duplicates), "word": word}
        found.append(Finding("hash_collision", column.name, says, numbers))
    return found


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
