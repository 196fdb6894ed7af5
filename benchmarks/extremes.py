"""One user with 100,000 rows in the last 30 days, and one merchant with a million rows.

Both are asked for as a scorer asks: a row is told and becomes the past of the next. The first
request of such a user reads and encodes everything once; it is counted separately.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND
from shared.tables.writer import write_history_records
from shared.transaction import Transaction
from usecases.fraud.features.online import FraudFeatureSource, warm_up

USER_ROWS, MERCHANT_ROWS, ASKED = 100_000, 1_000_000, 3_000
_COLUMNS = ("transaction_id", "user_id", "event_time", "ingested_at", "amount", "currency",
            "merchant_id", "transaction_type", "lat", "lon",
            "label", "label_known_at", "label_source")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rows: user, merchant and number."""

    user: str
    merchants: tuple[str, ...]
    rows: int


BUSY = Kind("busy", tuple(f"m{number}" for number in range(2_000)), USER_ROWS)
QUIET = Kind("quiet", ("corner-shop",), 10)
QUIETER = Kind("quieter", ("elsewhere",), 10)


def measure_extremes(engine: Engine, now_us: int) -> dict[str, float]:
    """Figures of both, on an empty database."""
    warm_up()
    for kind in (BUSY, QUIET, QUIETER, Kind("", ("mall",), MERCHANT_ROWS)):
        _write(engine, kind, now_us)
    source = FraudFeatureSource(engine)
    began = time.perf_counter()
    source.vector(_row(0, "busy", "m0", now_us))
    first = time.perf_counter() - began
    busy = _ask(source, "busy", "m0", now_us)
    quiet = _ask(source, "quiet", "corner-shop", now_us)
    mall = _ask(source, "quieter", "mall", now_us)
    return {
        "busy_user_rows": float(USER_ROWS),
        "busy_user_first_ms": round(first * 1e3, 1),
        "busy_user_p50_ms": _quantile(busy, 0.5),
        "busy_user_p99_ms": _quantile(busy, 0.99),
        "merchant_of_ten_p50_ms": _quantile(quiet, 0.5),
        "merchant_of_a_million_p50_ms": _quantile(mall, 0.5),
        "merchant_of_a_million_vs_ten": round(
            float(np.median(mall) / max(np.median(quiet), 1e-9)), 3
        ),
    }


def _quantile(seconds: list[float], share: float) -> float:
    return round(float(np.quantile(seconds, share)) * 1e3, 4)


def _ask(source: FraudFeatureSource, user: str, merchant: str, now_us: int) -> list[float]:
    taken = []
    for number in range(1, ASKED):
        row = _row(number, user, merchant, now_us)
        began = time.perf_counter()
        source.reserve((row,)).commit()
        taken.append(time.perf_counter() - began)
    return taken


def _row(number: int, user: str, merchant: str, now_us: int) -> Transaction:
    at_us = now_us + number * MICROS_PER_SECOND // 10
    return Transaction(
        transaction_id=f"{user}-{merchant}-{at_us}",
        user_id=user,
        event_time_us=at_us,
        ingested_at_us=at_us,
        amount=20.0,
        currency="EUR",
        merchant_id=merchant,
        transaction_type="purchase",
        lat=52.5,
        lon=13.4,
    )


def _write(engine: Engine, kind: Kind, now_us: int) -> None:
    rows = _rows(kind, now_us)
    with engine.begin() as connection:
        while chunk := list(islice(rows, 50_000)):
            write_history_records(connection, _COLUMNS, chunk)


def _rows(kind: Kind, now_us: int) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(7)
    for number in range(kind.rows):
        at_us = now_us - dice.randrange(MICROS_PER_SECOND, 29 * MICROS_PER_DAY)
        merchant = kind.merchants[number % len(kind.merchants)]
        user = kind.user or f"u{number % 20_000}"
        known_us = at_us + 7 * MICROS_PER_DAY
        label = (0, known_us, "bench") if known_us < now_us else (None, None, None)
        yield (f"{user}-{merchant}-{number}", user, at_us, at_us, dice.uniform(1, 90), "EUR",
               merchant, "purchase", 52.5, 13.4, *label)  # fmt: skip
