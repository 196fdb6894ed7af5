"""The inputs of all checks besides the rows: statistics of every day, computed in one pass."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from learning.dataset.large import Workplace
from learning.dataset.scanned import ScannedRows, Snapshot

from ..policy import QualityPolicy
from .days import (
    DAY,
    MIN_ROWS,
    Calendar,
    Floats,
    calendar_of,
    counts_between,
    day_of,
    rows_within,
)

NULLABLE = (
    "merchant_category",
    "channel",
    "country",
    "lat",
    "lon",
    "home_lat",
    "home_lon",
    "device_id",
    "utc_offset_min",
)
VARYING = ("user_id", "merchant_id", "amount", "currency", "transaction_type", *NULLABLE)
MEASURES = ("amount", "lat", "lon", "home_lat", "home_lon")
QUARTILES = (0.25, 0.5, 0.75)
WHOLE, TEN_CENTS = "amount.whole", "amount.ten_cents"
ENOUGH_A_DAY = 1_000
"""Quartiles of a day use about this many of its rows; more would not reduce the error."""

_Asked = tuple[str, int]
"""A kind of statistics, and which of them."""


@dataclass(frozen=True, slots=True)
class Daily:
    """One row a day that has enough rows: usual days, and the judged ones."""

    usual: pl.DataFrame
    judged: pl.DataFrame

    def pair(self, name: str) -> tuple[Floats, Floats]:
        """One statistic of the usual and of the judged days; NaN where it is undefined."""
        usual, judged = (
            frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for frame in (self.usual, self.judged)
        )
        return usual, judged


def daily_statistics(rows: Snapshot, calendar: Calendar, place: Workplace | None = None) -> Daily:
    """`rows` are in the order of time; `place` carries out tasks over rows in a file."""
    if isinstance(rows, ScannedRows) and place is not None:
        counted, changes, measured = _of_file(rows, calendar, place)
    else:
        counted = _statistics(rows.lazy(), _counts())
        changes = _constant_days(rows.lazy(), range(len(VARYING)))
        measured = _measured(rows, calendar)
    table = (
        counted.join(changes, on=DAY)
        .join(measured, on=DAY, how="left", maintain_order="left")
        .filter(pl.col("rows") >= MIN_ROWS)
        .sort(DAY)
        .collect()
    )
    is_judged = pl.col(DAY) >= calendar.judged.first
    return Daily(table.filter(~is_judged), table.filter(is_judged))


def _of_file(
    rows: ScannedRows, calendar: Calendar, place: Workplace
) -> tuple[pl.LazyFrame, pl.LazyFrame, pl.LazyFrame]:
    """One by one, each a task: of the file only the columns of one are read at a time."""
    counts = [("counted", at) for at in range(len(_counts()))]
    changes = [("constant", at) for at in range(len(VARYING))]
    asked: list[_Asked] = [*counts, *changes, ("measured", 0)]
    names = [f"{kind} statistic {at} of the days" for kind, at in asked]
    tables = place.map(_one_of_file, (rows, calendar), asked, names)
    split = len(counts)
    return _joined(tables[:split]), _joined(tables[split:-1]), tables[-1].lazy()


def _one_of_file(common: tuple[ScannedRows, Calendar], asked: _Asked) -> pl.DataFrame:
    """One statistic of every day."""
    (rows, calendar), (kind, at) = common, asked
    if kind == "counted":
        found = _statistics(rows.lazy(), [_counts()[at]])
    elif kind == "constant":
        found = _constant_days(rows.lazy(), [at])
    else:
        found = _measured(rows, calendar)
    return found.collect()


def _counts() -> list[pl.Expr]:
    return [pl.len().alias("rows"), *_nulls(), *_times(), *_labels()]


def _measured(rows: Snapshot, calendar: Calendar) -> pl.LazyFrame:
    """Quartiles of some rows of every day."""
    step = max(1, rows.height // (ENOUGH_A_DAY * calendar.whole.length))
    return _statistics(rows.lazy().gather_every(step), _measures())


def _constant_days(rows: pl.LazyFrame, which: Iterable[int]) -> pl.LazyFrame:
    """The days on which a column has one value only, for columns that vary."""
    names = [VARYING[at] for at in which]
    changes = rows.select("event_time", *(_change(name) for name in names))
    return _statistics(changes, [_constant(name) for name in names])


def _statistics(rows: pl.LazyFrame, statistics: list[pl.Expr]) -> pl.LazyFrame:
    return rows.with_columns(day_of).group_by(DAY).agg(*statistics)


def _joined(tables: list[pl.DataFrame]) -> pl.LazyFrame:
    """Statistics of the same days side by side."""
    first, *others = (table.sort(DAY) for table in tables)
    return pl.concat([first, *(table.drop(DAY) for table in others)], how="horizontal").lazy()


def _nulls() -> list[pl.Expr]:
    return [(pl.col(name).null_count() / pl.len()).alias(f"{name}.null_share") for name in NULLABLE]


def _change(name: str) -> pl.Expr:
    """True where a value differs from the one before; far cheaper than a day's minimum of texts."""
    return pl.col(name).ne_missing(pl.col(name).shift())


def _constant(name: str) -> pl.Expr:
    return (pl.col(name).slice(1).sum() == 0).alias(f"{name}.constant")


def _measures() -> list[pl.Expr]:
    quartiles = [
        pl.col(name).quantile(share).alias(f"{name}.q{share:g}")
        for name in MEASURES
        for share in QUARTILES
    ]
    amount = pl.col("amount")
    return [*quartiles, _multiple(amount, 1).alias(WHOLE), _multiple(amount, 10).alias(TEN_CENTS)]


def _multiple(amount: pl.Expr, parts: int) -> pl.Expr:
    """The share of amounts that are whole in 1/parts of the unit."""
    scaled = amount * parts
    return ((scaled - scaled.round()).abs() < 1e-6).mean()


def _times() -> list[pl.Expr]:
    lag = pl.col("ingested_at") - pl.col("event_time")
    return [lag.median().alias("lag_us"), (lag < 0).mean().alias("early_share")]


def _labels() -> list[pl.Expr]:
    label = pl.col("label")
    return [label.count().alias("labelled"), (label == 1).sum().alias("positives")]


@dataclass(frozen=True, slots=True)
class Blocks:
    """The judged days, beside the reference days.

    Attributes:
        usual: rows of the usual days, in the order of time; `judged` and `both` likewise.
        daily: statistics of every day of both.
        hours: rows of every hour, (days, 24), from the first usual day to the day that is not over.
    """

    calendar: Calendar
    hours: Floats
    usual: Snapshot
    judged: Snapshot
    both: Snapshot
    daily: Daily


@dataclass(frozen=True, slots=True)
class Context:
    """The instant of the snapshot, the policy, and blocks of days if there are enough."""

    as_of_us: int
    policy: QualityPolicy
    blocks: Blocks | None


def context_of(
    snapshot: Snapshot, as_of_us: int, policy: QualityPolicy, place: Workplace | None = None
) -> Context:
    """`place` carries out tasks over a snapshot in a file."""
    ordered = _ordered(snapshot)
    times = ordered["event_time"]
    calendar = calendar_of(times, as_of_us, policy.judged_days, policy.usual_days)
    if calendar is None:
        return Context(as_of_us, policy, None)
    usual, judged, both = (
        rows_within(ordered, span, times)
        for span in (calendar.usual, calendar.judged, calendar.whole)
    )
    daily = daily_statistics(both, calendar, place)
    hours = counts_between(times, calendar.whole.first, calendar.whole.length + 1)
    return Context(as_of_us, policy, Blocks(calendar, hours, usual, judged, both, daily))


def _ordered(snapshot: Snapshot) -> Snapshot:
    if isinstance(snapshot, ScannedRows):
        # sorted by time, rows without a time first
        return snapshot[snapshot["event_time"].null_count() :]
    times = snapshot["event_time"]
    known = snapshot.filter(times.is_not_null()) if times.null_count() else snapshot
    return known if known["event_time"].is_sorted() else known.sort("event_time")
