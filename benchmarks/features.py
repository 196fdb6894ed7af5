"""The cost of the 43 features: over the whole Handbook data, and for one live row from SQLite.

The live rows are spread over all users and months; each is asked for once, so most of them
find no cached sums. Their vectors must equal the batch values bit for bit.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from sqlalchemy import Engine

from benchmarks.extremes import measure_extremes
from benchmarks.handbook_history import PARQUET, read_handbook, write_handbook
from benchmarks.report import Bar, finish, no_options
from shared.clock import SystemClock
from shared.tables.engine import connect, migrate
from shared.tables.schema import transaction_history_logs
from shared.transaction import ATTRIBUTE_OF, Transaction
from shared.usecase.serving import FloatMatrix, WindowBounds
from usecases.fraud.features.batch import compute
from usecases.fraud.features.online import FraudFeatureSource, warm_up

LIVE_ROWS = 20_000
BARS: dict[str, Bar] = {
    "batch_seconds": ("<=", 10.0),
    "live_p99_ms": ("<=", 1.0),
    "live_rows_unlike_batch": ("==", 0),
    "busy_user_p99_ms": ("<=", 1.0),
    "merchant_of_a_million_vs_ten": ("<=", 2.0),
}


def main() -> None:
    no_options(__doc__)
    if not PARQUET.exists():
        say(f"no file at {PARQUET}; HANDBOOK_PARQUET names it")
        finish("features", {}, BARS)
    now_us = SystemClock().now_us()
    frame = complete(read_handbook(now_us))
    began = time.perf_counter()
    compute(frame.head(1_000))
    compiled = time.perf_counter() - began
    say(f"batch: {frame.height} rows")
    began = time.perf_counter()
    matrix = compute(frame)
    batch = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{Path(folder) / 'handbook.db'}")
        migrate(engine)
        say("live: writing the rows to SQLite")
        write_handbook(engine, now_us)
        live = measure_live(engine, frame, matrix)
        engine.dispose()
    with tempfile.TemporaryDirectory() as folder:
        say("extremes: a user with 100,000 rows, a merchant with a million")
        engine = connect(f"sqlite:///{Path(folder) / 'extremes.db'}")
        migrate(engine)
        live |= measure_extremes(engine, now_us)
        engine.dispose()
    figures = {
        "rows": float(frame.height),
        "compile_seconds": round(compiled, 3),
        "batch_seconds": round(batch, 3),
        **live,
    }
    finish("features", figures, BARS)


def complete(history: pl.DataFrame) -> pl.DataFrame:
    """The frame with every column of the transaction table, null if the file has none."""
    schema = {
        column.name: {str: pl.String, int: pl.Int64, float: pl.Float64}[column.type.python_type]
        for column in transaction_history_logs.columns
    }
    missing = [pl.lit(None, dtype=schema[n]).alias(n) for n in schema if n not in history.columns]
    return history.with_columns(missing)


def measure_live(engine: Engine, frame: pl.DataFrame, matrix: FloatMatrix) -> dict[str, float]:
    picked = np.random.default_rng(7).permutation(frame.height)[:LIVE_ROWS]
    rows = [as_transaction(row) for row in frame[picked].iter_rows(named=True)]
    # No windows in memory: the cost of a user's first row.
    source = FraudFeatureSource(engine, bounds=WindowBounds(0, 100_000))
    warm_up()
    source.vector(rows[0])
    say(f"live: {LIVE_ROWS} rows")
    seconds = np.empty(len(rows))
    unlike = 0
    for at, row in enumerate(rows):
        began = time.perf_counter()
        vector = source.vector(row)
        seconds[at] = time.perf_counter() - began
        unlike += vector.tobytes() != matrix[picked[at]].tobytes()
    p50, p99, worst = np.quantile(seconds * 1_000, (0.5, 0.99, 1.0)).round(3).tolist()
    return {
        "live_rows": float(LIVE_ROWS),
        "live_p50_ms": p50,
        "live_p99_ms": p99,
        "live_max_ms": worst,
        "live_rows_unlike_batch": float(unlike + source.live.guard.fallbacks),
    }


def as_transaction(row: dict[str, object]) -> Transaction:
    values = {name: row[column] for column, name in ATTRIBUTE_OF.items() if column in row}
    return Transaction(**values)  # type: ignore[arg-type]


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
