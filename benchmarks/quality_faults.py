"""Faults to inject into a clean snapshot, each with the name and column a gate has to say."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR

Inject = Callable[[pl.DataFrame, int], pl.DataFrame]

_DAY, _HOUR = MICROS_PER_DAY, MICROS_PER_HOUR
_event, _amount = pl.col("event_time"), pl.col("amount")


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of the rows, and the fault that the verdict has to name."""

    name: str
    said: str
    column: str
    inject: Inject


def since(as_of_us: int, whole_days: int) -> pl.Expr:
    """Rows of the newest whole days, and of the day that is not over."""
    return _event >= as_of_us // _DAY * _DAY - whole_days * _DAY


def on_day(as_of_us: int, days_ago: int) -> pl.Expr:
    begin = as_of_us // _DAY * _DAY - days_ago * _DAY
    return _event.is_between(begin, begin + _DAY, closed="left")


def spoil(rows: pl.DataFrame, hit: pl.Expr, **columns: pl.Expr) -> pl.DataFrame:
    """Columns replaced where `hit`; all of them see the rows as they were."""
    return rows.with_columns(
        pl.when(hit).then(value).otherwise(pl.col(name)).cast(rows.schema[name]).alias(name)
        for name, value in columns.items()
    )


def _swap(one: str, other: str) -> Inject:
    columns = {one: pl.col(other), other: pl.col(one)}
    return lambda rows, as_of: spoil(rows, since(as_of, 3), **columns)


def _moved(hours: int, *columns: str) -> Inject:
    moved = {name: pl.col(name) + hours * _HOUR for name in columns}

    def inject(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
        spoiled = spoil(rows, since(as_of_us, 6), **moved)
        return spoiled.filter(pl.col("ingested_at") <= as_of_us)

    return inject


def _random(rows: pl.DataFrame, share: float) -> pl.Expr:
    chosen = np.random.default_rng(1).random(rows.height) < share
    return pl.lit(pl.Series(chosen))


def _duplicated_day(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    """The rows of a day are delivered again as those of the next day."""
    again = rows.filter(on_day(as_of_us, 4)).with_columns(
        pl.col("event_time", "ingested_at", "label_known_at") + _DAY,
        transaction_id="again-" + pl.col("transaction_id"),
    )
    return pl.concat([rows.filter(~on_day(as_of_us, 3)), again])


def _imported_twice(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    again = rows.filter(on_day(as_of_us, 4))
    return pl.concat([rows, again.with_columns(transaction_id="again-" + pl.col("transaction_id"))])


def _truncated_day(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    late = _event % _DAY >= 11 * _HOUR
    return rows.filter(~(on_day(as_of_us, 5) & late))


def _flipped_lately(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    return spoil(rows, since(as_of_us, 10), label=1 - pl.col("label"))


def _ids_reused(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    """A counter starts again: new rows get the ids of old ones."""
    new = rows.filter(on_day(as_of_us, 1)).height
    old = rows["transaction_id"].head(new)
    hit = since(as_of_us, 1) & ~since(as_of_us, 0)
    place = hit.cum_sum().cast(pl.Int64) - 1
    return spoil(rows, hit, transaction_id=pl.lit(old.implode()).list.get(place, null_on_oob=True))


def _shuffled(rows: pl.DataFrame, as_of_us: int, *columns: str) -> pl.DataFrame:
    """Values of the newest days dealt out to the wrong rows."""
    hit = rows.select(since(as_of_us, 3)).to_series()
    new = rows.filter(hit)
    dealt = new.select(columns).sample(fraction=1.0, shuffle=True, seed=1)
    return pl.concat([rows.filter(~hit), new.with_columns(dealt)])


def _merchant_gone(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    top = rows["merchant_id"].value_counts(sort=True)[0, "merchant_id"]
    return rows.filter(~(since(as_of_us, 10) & (pl.col("merchant_id") == top)))


FAULTS: tuple[Fault, ...] = (
    Fault("coordinates swapped", "columns_swapped", "lat/lon", _swap("lat", "lon")),
    Fault(
        "ids swapped",
        "columns_swapped",
        "user_id/merchant_id",
        _swap("user_id", "merchant_id"),
    ),
    Fault(
        "categories swapped",
        "columns_swapped",
        "transaction_type/channel",
        _swap("transaction_type", "channel"),
    ),
    Fault(
        "instants swapped",
        "columns_swapped",
        "event_time/ingested_at",
        _swap("event_time", "ingested_at"),
    ),
    Fault(
        "unit times 100",
        "amount_unit",
        "amount",
        lambda rows, at: spoil(rows, since(at, 2), amount=_amount * 100),
    ),
    Fault(
        "unit divided by 100",
        "amount_unit",
        "amount",
        lambda rows, at: spoil(rows, since(at, 2), amount=_amount / 100),
    ),
    Fault(
        "a new category",
        "new_category",
        "transaction_type",
        lambda rows, at: spoil(
            rows, since(at, 2) & _random(rows, 0.4), transaction_type=pl.lit("PURCHASE")
        ),
    ),
    Fault(
        "a burst of nulls",
        "null_burst",
        "merchant_category",
        lambda rows, at: spoil(
            rows, on_day(at, 2) & _random(rows, 0.4), merchant_category=pl.lit(None)
        ),
    ),
    Fault(
        "time zone shift, also of ingestion",
        "time_zone_shift",
        "event_time",
        _moved(-5, "event_time", "ingested_at"),
    ),
    Fault("time zone shift", "time_zone_shift", "event_time", _moved(2, "event_time")),
    Fault("a duplicated day", "duplicated_day", "event_time", _duplicated_day),
    Fault("a day imported twice", "duplicated_day", "event_time", _imported_twice),
    Fault("a truncated day", "truncated_day", "event_time", _truncated_day),
    Fault(
        "a missing day",
        "truncated_day",
        "event_time",
        lambda rows, at: rows.filter(~on_day(at, 5)),
    ),
    Fault(
        "flipped labels",
        "labels_flipped",
        "label",
        lambda rows, _: rows.with_columns(label=1 - pl.col("label")),
    ),
    Fault("labels flipped lately", "labels_flipped", "label", _flipped_lately),
    Fault(
        "all labels negative",
        "no_positive_label",
        "label",
        lambda rows, _: rows.with_columns(label=pl.col("label") * 0),
    ),
    Fault(
        "all labels negative lately",
        "labels_all_negative",
        "label",
        lambda rows, at: spoil(rows, since(at, 16), label=pl.col("label") * 0),
    ),
    Fault(
        "future timestamps",
        "future_event",
        "event_time",
        lambda rows, at: spoil(
            rows, on_day(at, 1) & _random(rows, 0.1), event_time=_event + 30 * _DAY
        ),
    ),
    Fault(
        "infinite amounts",
        "amount_not_finite",
        "amount",
        lambda rows, at: spoil(rows, on_day(at, 1) & _random(rows, 0.1), amount=pl.lit(np.inf)),
    ),
    Fault(
        "infinite coordinates",
        "lat_not_finite",
        "lat",
        lambda rows, at: spoil(rows, on_day(at, 1) & _random(rows, 0.1), lat=pl.lit(-np.inf)),
    ),
    Fault(
        "a constant column",
        "constant_column",
        "channel",
        lambda rows, at: spoil(rows, since(at, 1), channel=pl.lit("pos")),
    ),
    Fault("transaction ids reused across users", "ids_reused", "transaction_id", _ids_reused),
    Fault(
        "device ids reused across users",
        "ids_reused",
        "device_id",
        lambda rows, at: _shuffled(rows, at, "device_id"),
    ),
    Fault(
        "user ids reused",
        "ids_reused",
        "user_id",
        lambda rows, at: _shuffled(rows, at, "home_lat", "home_lon"),
    ),
    Fault(
        "amounts rounded",
        "amounts_rounded",
        "amount",
        lambda rows, at: spoil(rows, since(at, 2), amount=_amount.round(0)),
    ),
    Fault("a merchant gone", "merchant_gone", "merchant_id", _merchant_gone),
    Fault(
        "stale data",
        "stale_data",
        "event_time",
        lambda rows, at: rows.filter(_event < at - 12 * _DAY),
    ),
    Fault("too few rows", "too_few_rows", "transaction_id", lambda rows, _: rows.tail(900)),
)
