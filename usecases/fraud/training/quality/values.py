"""Values of a column that changed from one day to the next.

Nulls or one value only, amounts in another unit or without cents, the numbers or the texts of
another column, and new categories.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import polars as pl

from shared.verdicts import Finding, Number

from .context import (
    MEASURES,
    NULLABLE,
    QUARTILES,
    TEN_CENTS,
    VARYING,
    WHOLE,
    Blocks,
)
from .days import (
    DAY,
    MIN_ROWS,
    DaySpan,
    Floats,
    Mask,
    day_of,
    hit_days,
    middle,
    on_days,
    rows_within,
    stands_out,
)

NULL_FLOOR = 0.2
CHANCE = 1e-6
"""The probability of a constant day by chance must be lower than this."""

UNIT_FLOOR = 0.9
"""The smallest change of unit, in powers of ten: quartiles eight times as large are not inflation.
"""

ROUNDED = 0.95
ROUNDED_FLOOR = 0.4

CLOSER = 0.25
"""A swapped column is at least four times closer to the other column than to itself."""

CATEGORIES = ("currency", "transaction_type", "merchant_category", "channel", "country")
TEXTS = ("user_id", "merchant_id", *CATEGORIES, "device_id")
MIN_UNSEEN = 20
MIN_KNOWN_SHARE = 0.5
SWAPPED_SHARE = 0.8
NEW_SHARE_OF_ROWS = 0.05
NEW_SHARE_OF_USERS = 0.1
NEW_USERS = 5
"""One traveller makes many rows in a new country; five users are a pattern."""

Words = Mapping[str, pl.Series]


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


def changed_unit(blocks: Blocks) -> list[Finding]:
    """Days on which every quartile of the amount moved by about the same power of ten."""
    moves, outstanding = [], []
    for share in QUARTILES:
        usual, judged = (_log10(values) for values in blocks.daily.pair(f"amount.q{share:g}"))
        moves.append(judged - middle(usual))
        outstanding.append(stands_out(judged, usual, UNIT_FLOOR))
    move = np.median(moves, axis=0)
    one_way = np.abs(np.sign(moves).sum(axis=0)) == len(QUARTILES)
    hit = np.all(outstanding, axis=0) & one_way
    if not hit.any():
        return []
    factor = float(10 ** np.median(move[hit]))
    days = hit_days(blocks.daily.judged, hit)
    says = f"is {factor:.3g} times the usual {on_days(days)}: another unit"
    return [Finding("amount_unit", "amount", says, {"factor": factor, "days": len(days)})]


def rounded_amounts(blocks: Blocks) -> list[Finding]:
    """Days on which nearly all amounts are whole, though they were not."""
    for statistic, unit in ((WHOLE, "whole"), (TEN_CENTS, "whole tenths")):
        usual, judged = blocks.daily.pair(statistic)
        hit = stands_out(judged, usual, ROUNDED_FLOOR) & (judged >= ROUNDED)
        if hit.any():
            worst, before = float(judged[hit].max()), middle(usual)
            days = hit_days(blocks.daily.judged, hit)
            says = f"is {unit} in {worst:.0%} of rows {on_days(days)}, usually in {before:.0%}"
            numbers = {"share": worst, "usual": before, "days": len(days)}
            return [Finding("amounts_rounded", "amount", says, numbers)]
    return []


def _log10(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(values)
    return np.where(np.isfinite(logs), logs, np.nan)


def swapped_numbers(blocks: Blocks) -> list[Finding]:
    """Pairs of columns whose quartiles of a day fit the other column."""
    quartiles = {name: _quartiles(blocks, name) for name in MEASURES}
    found = []
    for one, other in combinations(MEASURES, 2):
        (usual_one, judged_one), (usual_other, judged_other) = quartiles[one], quartiles[other]
        hit = _became(judged_one, usual_one, usual_other)
        hit &= _became(judged_other, usual_other, usual_one)
        days = hit_days(blocks.daily.judged, hit)
        if days:
            says = f"changed places {on_days(days)}"
            numbers = {"days": len(days)}
            found.append(Finding("columns_swapped", f"{one}/{other}", says, numbers))
    return found


def _quartiles(blocks: Blocks, column: str) -> tuple[Floats, Floats]:
    """(days, 3) of the usual and of the judged days."""
    pairs = [blocks.daily.pair(f"{column}.q{share:g}") for share in QUARTILES]
    return (
        np.column_stack([usual for usual, _ in pairs]),
        np.column_stack([judged for _, judged in pairs]),
    )


def _became(judged: Floats, own: Floats, others: Floats) -> Mask:
    """Days that are far from what the column was, and close to what the other column was."""
    own_centre, other_centre = _centre(own), _centre(others)
    away = np.abs(judged - own_centre).max(axis=1)
    usually_away = np.abs(own - own_centre).max(axis=1)
    near = np.abs(judged - other_centre).max(axis=1)
    width = float(own_centre[-1] - own_centre[0])
    with np.errstate(invalid="ignore"):
        closer: Mask = near < CLOSER * away
    return stands_out(away, usually_away, width / 2) & closer


def _centre(days: Floats) -> Floats:
    return np.array([middle(column) for column in days.T])


def unseen_texts(blocks: Blocks) -> list[Finding]:
    """Values of each text column that the usual days do not have."""
    words = {name: blocks.usual[name].drop_nulls().unique() for name in TEXTS}
    found = []
    for column in TEXTS:
        unseen = _unseen(blocks, column, words[column])
        if unseen.height < MIN_UNSEEN:
            continue
        source = _source(column, unseen, words)
        if source:
            found.append(_swapped(column, source, unseen))
        elif column in CATEGORIES:
            found.extend(_new_categories(blocks, column, unseen))
    return found


def _unseen(blocks: Blocks, column: str, known: pl.Series) -> pl.DataFrame:
    """Day, user and value of judged rows whose value is new in the column."""
    rows = blocks.judged.select(day_of, "user_id", value=pl.col(column))
    if len(known) < 1 or blocks.usual[column].count() < MIN_KNOWN_SHARE * blocks.usual.height:
        return rows.clear()
    return rows.filter(pl.col("value").is_not_null() & ~pl.col("value").is_in(known.implode()))


def _source(column: str, unseen: pl.DataFrame, words: Words) -> str | None:
    """The other column that nearly all of the unseen values are known from."""
    for other in TEXTS:
        if other == column:
            continue
        known = unseen.select(pl.col("value").is_in(words[other].implode()).mean()).item()
        if known >= SWAPPED_SHARE:
            return other
    return None


def _swapped(column: str, source: str, unseen: pl.DataFrame) -> Finding:
    days = sorted(unseen[DAY].unique().to_list())
    says = f"holds values of {source} in {unseen.height} rows {on_days(days)}"
    numbers = {"rows": unseen.height, "days": len(days)}
    return Finding("columns_swapped", f"{column}/{source}", says, numbers)


def _new_categories(blocks: Blocks, column: str, unseen: pl.DataFrame) -> list[Finding]:
    user = pl.col("user_id")
    days = (
        blocks.judged.lazy()
        .group_by(day_of)
        .agg(all_rows=pl.len(), all_users=user.n_unique())
        .collect()
    )
    counted = unseen.group_by("value", DAY).agg(rows=pl.len(), users=user.n_unique())
    share = pl.col("rows") / pl.col("all_rows")
    enough_users = pl.col("users") >= pl.max_horizontal(
        pl.lit(NEW_USERS), pl.col("all_users") * NEW_SHARE_OF_USERS
    )
    large = (
        counted.join(days, on=DAY)
        .with_columns(share=share)
        .filter((share >= NEW_SHARE_OF_ROWS) & enough_users)
        .sort("value", DAY)
    )
    return [
        _new_category(column, str(value), rows)
        for (value,), rows in large.group_by("value", maintain_order=True)
    ]


def _new_category(column: str, value: str, days: pl.DataFrame) -> Finding:
    rows, share = int(days["rows"].sum()), float(days["share"].max())  # type: ignore[arg-type]
    says = f"has a new value {value!r} in up to {share:.0%} of rows {on_days(days[DAY].to_list())}"
    numbers: dict[str, Number] = {"share": share, "rows": rows, "value": value}
    return Finding("new_category", column, says, numbers)
