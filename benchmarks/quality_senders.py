"""Faults to inject into a clean snapshot: a new caller that dominates an entity's history."""

import polars as pl

from benchmarks.quality_faults import Fault, Inject, since, spoil
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR

_DAY, _HOUR = MICROS_PER_DAY, MICROS_PER_HOUR


def _sent(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of two gateways that have always been there, and labels of one office."""
    gateway = pl.col("transaction_id").hash(1) % 2
    return rows.with_columns(
        sent_by=pl.when(gateway == 0).then(pl.lit("gate-a")).otherwise(pl.lit("gate-b")),
        label_sent_by=pl.when(pl.col("label").is_not_null()).then(pl.lit("office")),
    )


def _by_newcomer(count: int, column: str) -> Inject:
    """Backdated rows about the median entity that one new caller sends."""

    def inject(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
        ranked = rows[column].value_counts(sort=True)[column]
        entity = ranked[len(ranked) // 2]
        own = rows.filter(pl.col(column) == entity)
        place = pl.int_range(pl.len(), dtype=pl.Int64)
        poison = own.sample(count, with_replacement=True, seed=1).with_columns(
            transaction_id=pl.format("poison-{}", place),
            event_time=as_of_us - _DAY - place * _HOUR,
            ingested_at=as_of_us - _DAY // 2 + place,
            label=pl.lit(1, pl.Int8),
            label_known_at=as_of_us - _DAY // 4 + place,
            label_source=pl.lit("feedback"),
            sent_by=pl.lit("newcomer"),
            label_sent_by=pl.lit("office"),
        )
        return pl.concat([_sent(rows), poison.select(rows.columns)])

    return inject


def _labels_by_newcomer(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    """A merchant's rows of the last weeks become positive, says a new caller."""
    top = rows["merchant_id"].value_counts(sort=True)[0, "merchant_id"]
    hit = since(as_of_us, 20) & (pl.col("merchant_id") == top)
    return spoil(
        _sent(rows),
        hit,
        label=pl.lit(1),
        label_known_at=as_of_us - _DAY // 4 + pl.int_range(pl.len(), dtype=pl.Int64),
        label_source=pl.lit("feedback"),
        label_sent_by=pl.lit("newcomer"),
    )


SENDER_FAULTS: tuple[Fault, ...] = (
    Fault(
        "a stranger's history by a new caller", "new_sender", "user_id", _by_newcomer(60, "user_id")
    ),
    Fault("odd rows by a new caller", "new_sender", "user_id", _by_newcomer(28, "user_id")),
    Fault(
        "a merchant's rows by a new caller",
        "new_sender",
        "merchant_id",
        _by_newcomer(200, "merchant_id"),
    ),
    Fault("labels by a new caller", "new_sender", "merchant_id", _labels_by_newcomer),
)
