"""Compares the newest rows with earlier ones: columns that lost information or changed.

The newest tenth of the rows is compared as a whole. A difference must be large and significant: a
season, a campaign or a new price list are not faults.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from shared.rows.schema import Kind, RowSchema
from shared.verdicts import Finding, Number

NEWEST_SHARE = 0.1
MIN_NEWEST = 100
NULL_RISE = 0.3
NEW_WORDS_SHARE = 0.2
SCALES = (10.0, 100.0, 1_000.0)
_SCALE_WITHIN = 0.25
_FLIPPED_FROM, _FLIPPED_TO = 0.3, 0.7
_SWAPPED_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest rows and those before them."""

    before: pl.DataFrame
    newest: pl.DataFrame


def newest_of(snapshot: pl.DataFrame, schema: RowSchema) -> Newest | None:
    """None where there is no time, or too few rows to compare."""
    count = int(snapshot.height * NEWEST_SHARE)
    if schema.roles.time is None or count < MIN_NEWEST:
        return None
    ordered = snapshot.sort("event_time")
    return Newest(ordered.head(ordered.height - count), ordered.tail(count))


def newest_faults(rows: Newest, schema: RowSchema) -> list[Finding]:
    """Every comparison of the newest rows with those before."""
    checks: tuple[Check, ...] = (
        null_bursts, constant_columns, changed_units, new_words, swapped_columns, flipped_labels,
    )  # fmt: skip
    return [found for check in checks for found in check(rows, schema)]


Check = Callable[[Newest, RowSchema], list[Finding]]


def null_bursts(rows: Newest, schema: RowSchema) -> list[Finding]:
    """Columns that are far more often empty than they were."""
    found = []
    for name in schema.names:
        before = rows.before[name].null_count() / rows.before.height
        now = rows.newest[name].null_count() / rows.newest.height
        if now - before > NULL_RISE:
            says = f"is empty in {now:.0%} of the newest rows, before in {before:.0%}"
            found.append(Finding("null_burst", name, says, {"null_share": now, "usual": before}))
    return found


def constant_columns(rows: Newest, schema: RowSchema) -> list[Finding]:
    """Columns that have one value in the newest rows and varied before."""
    found = []
    for name in schema.names:
        now = rows.newest[name].drop_nulls()
        if len(now) < MIN_NEWEST or now.n_unique() > 1:
            continue
        share = float((rows.before[name] == now[0]).fill_null(value=False).mean() or 0.0)
        if share < _FLIPPED_TO:
            says = f"is {now[0]!r} in every one of the newest rows, before in {share:.0%}"
            found.append(Finding("constant_column", name, says, {"usual": share}))
    return found


def changed_units(rows: Newest, schema: RowSchema) -> list[Finding]:
    """Numbers that became ten, a hundred or a thousand times larger or smaller."""
    found = []
    for column in schema.columns:
        if column.kind is not Kind.NUMBER:
            continue
        before, now = _magnitude(rows.before[column.name]), _magnitude(rows.newest[column.name])
        if before is None or now is None:
            continue
        times = now / before
        scale = next((s for s in SCALES for one in (times, 1 / times) if _is_about(one, s)), None)
        if scale is not None:
            way = "larger" if times > 1 else "smaller"
            says = f"is about {scale:g} times {way} in the newest rows: has its unit changed?"
            found.append(Finding("changed_unit", column.name, says, {"times": times}))
    return found


def _magnitude(values: pl.Series) -> float | None:
    """The median of the values other than 0; None where values span orders of magnitude."""
    sizes = values.drop_nulls().abs()
    sizes = sizes.filter(sizes > 0)
    if len(sizes) < MIN_NEWEST:
        return None
    low, middle, high = (float(np.quantile(sizes.to_numpy(), q)) for q in (0.25, 0.5, 0.75))
    # values over several orders of magnitude have no typical size
    return middle if high < 5 * low else None


def _is_about(times: float, scale: float) -> bool:
    return abs(times / scale - 1) < _SCALE_WITHIN


def new_words(rows: Newest, schema: RowSchema) -> list[Finding]:
    """Open categories in which words that were never seen before are suddenly frequent."""
    found = []
    for column in schema.columns:
        if not column.is_open:
            continue
        known = rows.before[column.name].drop_nulls().unique()
        now = rows.newest[column.name].drop_nulls()
        # where almost every row has a word of its own, new words are normal
        if len(now) < MIN_NEWEST or len(known) > 0.2 * rows.before.height or not len(known):
            continue
        unseen = now.filter(~now.is_in(known.implode()))
        share = len(unseen) / len(now)
        if share > NEW_WORDS_SHARE:
            word = unseen.value_counts(sort=True)[0, 0]
            says = f"has new words in {share:.0%} of the newest rows, e.g. {word!r}"
            numbers: dict[str, Number] = {"share": share, "word": str(word)}
            found.append(Finding("new_category", column.name, says, numbers))
    return found


def swapped_columns(rows: Newest, schema: RowSchema) -> list[Finding]:
    """Categories that hold the words of another one."""
    names = [column.name for column in schema.columns if column.kind is Kind.CATEGORY]
    words = {name: rows.before[name].drop_nulls().unique() for name in names}
    found = []
    for name in names:
        now = rows.newest[name].drop_nulls()
        unseen = now.filter(~now.is_in(words[name].implode()))
        if len(unseen) < MIN_NEWEST:
            continue
        for other in names:
            shared = unseen.is_in(words[other].implode()).mean()
            if other != name and isinstance(shared, float) and shared > _SWAPPED_SHARE:
                says = f"holds words of {other} in {len(unseen)} of the newest rows"
                found.append(
                    Finding("columns_swapped", f"{name}/{other}", says, {"rows": len(unseen)})
                )
    return found


def flipped_labels(rows: Newest, schema: RowSchema) -> list[Finding]:
    """A class that was rare and is most of the newest labels, or the other way round."""
    if not schema.task.is_classification:
        return []
    before, now = rows.before["label"].drop_nulls(), rows.newest["label"].drop_nulls()
    if len(before) < MIN_NEWEST or len(now) < MIN_NEWEST:
        return []
    for at, name in enumerate(schema.task.names):
        usual, share = float((before == at).mean()), float((now == at).mean())  # type: ignore[arg-type]
        if usual < _FLIPPED_FROM and share > _FLIPPED_TO:
            says = f"is {name!r} in {share:.0%} of the newest labels, before in {usual:.0%}"
            return [Finding("labels_flipped", "label", says, {"share": share, "usual": usual})]
    return []
