"""Texts never seen in a column before: a new category, or another column's values."""

from collections.abc import Mapping

import polars as pl

from shared.quality.finding import Finding, Number

from .context import Blocks
from .days import DAY, day_of
from .outliers import on_days

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
