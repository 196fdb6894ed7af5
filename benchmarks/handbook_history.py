"""The Handbook's transactions as history that ends now, for benchmarks that need a live feed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY
from shared.tables.writer import write_history_records

PARQUET = Path(os.environ.get("HANDBOOK_PARQUET", "../shared/data/handbook_transactions.parquet"))
LABEL_DELAY_US = 7 * MICROS_PER_DAY
ROWS_PER_WRITE = 50_000
COLUMNS = (
    "transaction_id",
    "user_id",
    "event_time",
    "ingested_at",
    "amount",
    "currency",
    "merchant_id",
    "transaction_type",
    "label",
    "label_known_at",
    "label_source",
)


def write_handbook(engine: Engine, now_us: int) -> int:
    """Fill TransactionHistoryLogs; returns the number of rows."""
    history = read_handbook(now_us)
    for chunk in _chunks(history):
        with engine.begin() as connection:
            write_history_records(connection, COLUMNS, chunk)
    return history.height


def read_handbook(now_us: int) -> pl.DataFrame:
    """The rows as COLUMNS; whole weeks are added so that hours and weekdays stay."""
    rows = pl.read_parquet(PARQUET)
    time_us = pl.col("TX_DATETIME").cast(pl.Datetime("us")).cast(pl.Int64)
    newest: int = rows.select(time_us.max()).item()
    shift = (now_us - newest) // (7 * MICROS_PER_DAY) * 7 * MICROS_PER_DAY
    return rows.select(
        transaction_id=pl.col("TRANSACTION_ID").cast(pl.String),
        user_id=pl.format("c{}", "CUSTOMER_ID"),
        event_time=time_us + shift,
        ingested_at=time_us + shift,
        amount=pl.col("TX_AMOUNT").cast(pl.Float64),
        currency=pl.lit("EUR"),
        merchant_id=pl.format("t{}", "TERMINAL_ID"),
        transaction_type=pl.lit("purchase"),
        label=pl.col("TX_FRAUD").cast(pl.Int64),
        label_known_at=time_us + shift + LABEL_DELAY_US,
        label_source=pl.lit("handbook"),
    )


def _chunks(history: pl.DataFrame) -> Iterator[list[tuple[Any, ...]]]:
    for chunk in history.iter_slices(ROWS_PER_WRITE):
        yield chunk.rows()
