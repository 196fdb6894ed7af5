"""A column that lost information: a burst of nulls, or the same value all day."""

import numpy as np
import polars as pl

from shared.quality.finding import Finding

from .context import Blocks
from .daily import NULLABLE, VARYING
from .days import MIN_ROWS, DaySpan, rows_within
from .outliers import hit_days, middle, on_days, stands_out

NULL_FLOOR = 0.2
CHANCE = 1e-6
"""The probability of a constant day by chance must be lower than this."""


def null_bursts(blocks: Blocks) -> list[Finding]:
    """Days on which a column is far more often unknown than it was."""
    found = []
    for column in NULLABLE:
        usual, judged = blocks.daily.pair(f"{column}.null_share")
        hit = stands_out(judged, usual, NULL_FLOOR) & (judged > middle(usual))
        if hit.any():
            worst, before = float(judged[hit].max()), middle(usual)
            days = hit_days(blocks.daily.judged, hit)
            says = f"is null in up to {worst:.0%} of rows {on_days(days)}, usually in {before:.0%}"
            numbers = {"null_share": worst, "usual": before, "days": len(days)}
            found.append(Finding("null_burst", column, says, numbers))
    return found


def constant_columns(blocks: Blocks) -> list[Finding]:
    """Days on which a column that always varies has one value only."""
    found = []
    for column in VARYING:
        usual, judged = blocks.daily.pair(f"{column}.constant")
        if usual.any():
            continue
        days = hit_days(blocks.daily.judged, judged > 0)
        days = [day for day in days if _is_no_chance(blocks, column, day)]
        if days:
            value = rows_within(blocks.judged, DaySpan(days[0], days[0]))[column][0]
            says = f"is {value!r} in every row {on_days(days)}"
            found.append(Finding("constant_column", column, says, {"days": len(days)}))
    return found


def _is_no_chance(blocks: Blocks, column: str, day: int) -> bool:
    rows = rows_within(blocks.judged, DaySpan(day, day))
    if rows[column].null_count():
        return False
    # rows of one customer are similar: the sample size is the number of customers
    people = rows.height if column == "user_id" else rows["user_id"].n_unique()
    if rows.height < MIN_ROWS:
        return False
    counts = blocks.usual.lazy().group_by(column).agg(pl.len().alias("n")).collect()["n"]
    top_share = float(np.max(counts.to_numpy())) / blocks.usual.height
    return bool(top_share**people < CHANCE)
