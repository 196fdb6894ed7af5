"""Ids that were reused, and a large merchant that disappeared."""

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.verdicts import Finding, Number, Severity

from .context import Blocks, Context
from .days import DAY, MIN_ROWS, day_of, on_days

REUSED_SHARE = 0.3
SHARED_USUALLY = 0.1
MOVED_DEGREES = 0.05

MIN_MERCHANT_SHARE = 0.005
MISSING_ROWS = 50.0
MIN_USERS = 10
TOP_USER_SHARE = 0.3
"""A merchant with a larger share of one customer is not checked: it pauses with that customer."""

LONGER_THAN_EVER = 3.0
RECENT = 0.5


def repeated_transactions(snapshot: Snapshot, _context: Context) -> list[Finding]:
    """Ids that occur more than once; worse, for different users."""
    # counting hashes is five times faster, and equal ids have equal hashes
    hashes = snapshot.select(pl.col("transaction_id").drop_nulls().hash()).to_series()
    if hashes.n_unique() == len(hashes):
        return []
    repeated = pl.col("transaction_id").is_duplicated() & pl.col("transaction_id").is_not_null()
    wrong = (
        snapshot.lazy()
        .select("transaction_id", "user_id")
        .filter(repeated)
        .sort("transaction_id")
        .collect()
    )
    if wrong.is_empty():
        return []
    example = wrong[0, "transaction_id"]
    says = f"occurs more than once in {wrong.height} rows, e.g. {example!r}"
    found = [Finding("repeated_transaction", "transaction_id", says, {"rows": wrong.height})]
    users = wrong.group_by("transaction_id", maintain_order=True).agg(pl.col("user_id").n_unique())
    shared = users.filter(pl.col("user_id") > 1)
    if shared.height:
        says = f"is reused across users in {shared.height} ids, e.g. {shared[0, 0]!r}"
        numbers = {"ids": shared.height}
        found.insert(0, Finding("ids_reused", "transaction_id", says, numbers, Severity.RUIN))
    return found


def reused_devices(blocks: Blocks) -> list[Finding]:
    """Days on which known devices belong to users who never had them."""
    usual = blocks.usual.select("device_id", "user_id").drop_nulls()
    if usual.height < MIN_ROWS:
        return []
    owned = usual.select(pair=_pair(), device=pl.col("device_id").hash(1)).unique()
    devices = owned["device"]
    if owned.height > (1 + SHARED_USUALLY) * devices.n_unique():
        return []
    foreign = ~_pair().is_in(owned["pair"].implode())
    known = pl.col("device_id").hash(1).is_in(devices.unique().implode())
    rows = blocks.judged.lazy().drop_nulls(["device_id", "user_id"]).filter(known)
    hit = rows.select(day_of, hit=foreign).collect()
    return _reused(hit, "device_id", "belongs to another user")


def reused_users(blocks: Blocks) -> list[Finding]:
    """Days on which users suddenly live somewhere else than the users of these ids did."""
    home = ("home_lat", "home_lon")
    if blocks.usual["home_lat"].count() < MIN_ROWS:
        return []
    before = (
        blocks.usual.select("user_id", *home)
        .drop_nulls()
        .unique("user_id", keep="last", maintain_order=False)
    )
    rows = blocks.judged.select(day_of, "user_id", *home).drop_nulls()
    rows = rows.join(before, on="user_id", suffix="_before")
    moved = pl.any_horizontal(
        (pl.col(name) - pl.col(f"{name}_before")).abs() > MOVED_DEGREES for name in home
    )
    return _reused(rows.select(DAY, hit=moved), "user_id", "has another home than before")


def _pair() -> pl.Expr:
    return pl.col("device_id").hash(1) ^ pl.col("user_id").hash(2)


def _reused(rows: pl.DataFrame, column: str, what: str) -> list[Finding]:
    daily = rows.group_by(DAY).agg(pl.len(), pl.col("hit").sum()).sort(DAY)
    share = pl.col("hit") / pl.col("len")
    bad = daily.filter((share >= REUSED_SHARE) & (pl.col("len") >= MIN_ROWS))
    if bad.is_empty():
        return []
    worst = float(bad.select(share.max()).item())
    says = f"{what} in up to {worst:.0%} of rows {on_days(bad[DAY].to_list())}"
    numbers = {"share": worst, "rows": int(bad["hit"].sum())}
    return [Finding("ids_reused", column, says, numbers)]


def merchants_gone(blocks: Blocks) -> list[Finding]:
    """Merchants with a good share of the usual rows and none since long."""
    total = blocks.usual.height
    counted = blocks.usual["merchant_id"].drop_nulls().value_counts(name="rows")
    heavy = counted.filter(pl.col("rows") >= MIN_MERCHANT_SHARE * total)
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
