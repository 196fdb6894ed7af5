"""Faults of a snapshot as a whole: too little of it, too old, ids twice, words with one hash."""

import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.quality import Finding, Number, Severity
from shared.rows.encoder import MAX_SLOTS, colliding_words
from shared.rows.schema import RowSchema
from shared.tasks import TaskKind

MIN_ROWS = 100
MIN_LABELLED = 50
MIN_OF_A_CLASS = 10
REPEATED_SHARE = 0.2
_MIN_REPEATED = 50


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
