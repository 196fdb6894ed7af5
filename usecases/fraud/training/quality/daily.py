"""Statistics of every day in one pass: the figures that the checks of days compare."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from learning.dataset.scanned import ScannedRows, Snapshot

from .days import DAY, MIN_ROWS, Calendar, day_of

Floats = npt.NDArray[np.float64]

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


def daily_statistics(rows: Snapshot, calendar: Calendar) -> Daily:
    """`rows` are in the order of time."""
    step = max(1, rows.height // (ENOUGH_A_DAY * calendar.whole.length))
    thin = rows.lazy().gather_every(step)
    counted = _by_day(rows, [pl.len().alias("rows"), *_nulls(), *_times(), *_labels()])
    changes = _constant_days(rows)
    table = (
        counted.join(changes, on=DAY)
        .join(_statistics(thin, _measures()), on=DAY, how="left", maintain_order="left")
        .filter(pl.col("rows") >= MIN_ROWS)
        .sort(DAY)
        .collect()
    )
    is_judged = pl.col(DAY) >= calendar.judged.first
    return Daily(table.filter(~is_judged), table.filter(is_judged))


def _by_day(rows: Snapshot, statistics: list[pl.Expr]) -> pl.LazyFrame:
    """Together in memory; of a file one by one, so that only the columns of one are read."""
    if not isinstance(rows, ScannedRows):
        return _statistics(rows.lazy(), statistics)
    return _joined([_statistics(rows.lazy(), [each]).collect() for each in statistics])


def _constant_days(rows: Snapshot) -> pl.LazyFrame:
    """The days on which a column has one value only, for every column that varies."""
    pairs = list(zip(_changes(), _constants(), strict=True))
    if not isinstance(rows, ScannedRows):
        changes = rows.lazy().select("event_time", *(change for change, _ in pairs))
        return _statistics(changes, [constant for _, constant in pairs])
    return _joined(
        [
            _statistics(rows.lazy().select("event_time", change), [constant]).collect()
            for change, constant in pairs
        ]
    )


def _statistics(rows: pl.LazyFrame, statistics: list[pl.Expr]) -> pl.LazyFrame:
    return rows.with_columns(day_of).group_by(DAY).agg(*statistics)


def _joined(tables: list[pl.DataFrame]) -> pl.LazyFrame:
    """Statistics of the same days side by side."""
    first, *others = (table.sort(DAY) for table in tables)
    return pl.concat([first, *(table.drop(DAY) for table in others)], how="horizontal").lazy()


def _nulls() -> list[pl.Expr]:
    return [(pl.col(name).null_count() / pl.len()).alias(f"{name}.null_share") for name in NULLABLE]


def _changes() -> list[pl.Expr]:
    """True where a value differs from the one before; far cheaper than a day's minimum of texts."""
    return [pl.col(name).ne_missing(pl.col(name).shift()) for name in VARYING]


def _constants() -> list[pl.Expr]:
    return [(pl.col(name).slice(1).sum() == 0).alias(f"{name}.constant") for name in VARYING]


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
