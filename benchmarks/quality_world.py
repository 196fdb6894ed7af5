"""Clean snapshots of simulated worlds, without a database: what quality gates are tried on."""

import polars as pl

from shared.clock import MICROS_PER_DAY
from simulator.history import COLUMNS, records, relive
from simulator.world import build_world
from usecases.fraud.training.snapshot import SCHEMA

NOW_US = 1_767_225_600_000_000 + MICROS_PER_DAY * 5 // 8  # 2026-01-01T15:00:00Z
DAYS, CUSTOMERS, MERCHANTS, CRIME_SHARE = 60, 150, 200, 0.03
_LABEL = ("label", "label_known_at", "label_source", "label_sent_by")
_ORDER = ("event_time", "ingested_at", "transaction_id")


def simulated_snapshot(
    seed: int,
    now_us: int = NOW_US,
    *,
    days: int = DAYS,
    customers: int = CUSTOMERS,
    merchants: int = MERCHANTS,
    crime_share: float = CRIME_SHARE,
) -> pl.DataFrame:
    """All rows of a world's past, as `read_snapshot` would return them."""
    world = build_world(seed, customers=customers, merchants=merchants)
    past = relive(world, now_us, days, crime_share=crime_share)
    schema = {name: SCHEMA[name] for name in COLUMNS}
    batches = [pl.DataFrame(rows, schema, orient="row") for rows in records(world, past)]
    # imported rows: without a sender
    return pl.concat([SCHEMA.to_frame(), *batches], how="diagonal").sort(_ORDER)


def as_known_at(snapshot: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    """The same rows as an earlier snapshot would have had them."""
    known = pl.col("label_known_at") <= as_of_us
    labels = [pl.when(known).then(pl.col(name)).alias(name) for name in _LABEL]
    return snapshot.filter(pl.col("ingested_at") <= as_of_us).with_columns(labels)
