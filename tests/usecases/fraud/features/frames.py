"""Transactions as the frame that a snapshot would give."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from shared.transaction import Label, Transaction
from usecases.fraud.training.snapshot import SCHEMA

DAY = 86_400_000_000
HOUR = DAY // 24
MINUTE = HOUR // 60
SECOND = MINUTE // 60
START = 20_000 * DAY + 12 * HOUR  # 2024-10-04T12:00Z, a Friday


def transaction(number: int, event_time_us: int, **given: Any) -> Transaction:
    """A transaction of user "ada" at merchant "shop" for 20.00, ingested as it happened."""
    values: dict[str, Any] = {
        "transaction_id": f"t{number:06}",
        "user_id": "ada",
        "event_time_us": event_time_us,
        "ingested_at_us": event_time_us,
        "amount": 20.0,
        "currency": "EUR",
        "merchant_id": "shop",
        "transaction_type": "purchase",
    }
    return Transaction(**(values | given))


def record(row: Transaction, label: Label | None = None) -> dict[str, Any]:
    """A line of the transaction tables."""
    line = asdict(row)
    line["event_time"] = line.pop("event_time_us")
    line["ingested_at"] = line.pop("ingested_at_us")
    line["label"] = label.label if label else None
    line["label_known_at"] = label.label_known_at_us if label else None
    line["label_source"] = label.label_source if label else None
    return line


def frame(rows: Sequence[Transaction], labels: Sequence[Label] = ()) -> pl.DataFrame:
    by_id = {label.transaction_id: label for label in labels}
    lines = [record(row, by_id.get(row.transaction_id)) for row in rows]
    return pl.DataFrame(lines, schema=SCHEMA)
