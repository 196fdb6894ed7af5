"""Faults of the whole: too few rows or labels, one class only, nothing new for days."""

from collections.abc import Mapping

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.clock import MICROS_PER_DAY, isoformat
from shared.quality.finding import Finding, Number, Severity

from .context import Context


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
