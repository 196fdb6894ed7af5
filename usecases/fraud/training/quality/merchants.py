"""A large merchant that disappeared: no row for far longer than ever before."""

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.quality.finding import Finding, Number

from .context import Blocks

MIN_SHARE = 0.005
MISSING_ROWS = 50.0
MIN_USERS = 10
TOP_USER_SHARE = 0.3
"""A merchant with a larger share of one customer is not checked: it pauses with that customer."""

LONGER_THAN_EVER = 3.0
RECENT = 0.5


def merchants_gone(blocks: Blocks) -> list[Finding]:
    """Merchants with a good share of the usual rows and none since long."""
    total = blocks.usual.height
    counted = blocks.usual["merchant_id"].drop_nulls().value_counts(name="rows")
    heavy = counted.filter(pl.col("rows") >= MIN_SHARE * total)
    last_seen = (
        blocks.judged.lazy()
        .select("merchant_id", at=pl.int_range(pl.len()))
        .filter(pl.col("merchant_id").is_in(heavy["merchant_id"].implode()))
        .group_by("merchant_id")
        .agg(pl.col("at").max())
        .collect()
    )
    silent = (
        heavy.join(last_seen, on="merchant_id", how="left")
        .with_columns(silent=blocks.judged.height - 1 - pl.col("at").fill_null(-1))
        .with_columns(missing=pl.col("rows") / total * pl.col("silent"))
        .filter(pl.col("missing") >= MISSING_ROWS)
        .sort("missing", "merchant_id", descending=[True, False])
    )
    return [
        _gone(row["merchant_id"], row["rows"] / total, row["missing"])
        for row in silent.iter_rows(named=True)
        if _was_regular(blocks.usual, row["merchant_id"], row["silent"])
    ]


def _gone(merchant: str, share: float, missing: float) -> Finding:
    says = f"{merchant!r} is gone: {share:.1%} of all rows before, about {missing:.0f} are missing"
    numbers: dict[str, Number] = {"missing_rows": missing, "share": share, "merchant": merchant}
    return Finding("merchant_gone", "merchant_id", says, numbers)


def _was_regular(usual: Snapshot, merchant: str, silent: int) -> bool:
    """Many users, no long pause before, and still as busy as ever in the last quarter."""
    visits = (
        usual.lazy()
        .select("user_id", "merchant_id", at=pl.int_range(pl.len()))
        .filter(pl.col("merchant_id") == merchant)
        .collect()
    )
    users = visits["user_id"].value_counts()["count"]
    pauses = pl.concat([visits["at"], pl.Series([usual.height], dtype=pl.Int64)]).diff()
    recent = (visits["at"] >= usual.height * 3 // 4).sum() / visits.height
    return bool(
        len(users) >= MIN_USERS
        and int(users.max()) <= TOP_USER_SHARE * visits.height  # type: ignore[arg-type]
        and silent > LONGER_THAN_EVER * int(pauses.max() or 0)  # type: ignore[arg-type]
        and recent >= RECENT / 4
    )
