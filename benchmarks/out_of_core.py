"""A history that exceeds memory, from snapshot to promotion: time, and the peak of memory.

Rows are simulated world by world, each with users and merchants of its own, so that any number
of them can be written. `--in-memory` measures the same history as one DataFrame.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.cycle import GIB, say, seconds, tell
from benchmarks.memory import MemoryWatch
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from shared.clock import SystemClock
from shared.tables.engine import prepare_for_bulk
from shared.tables.runs import RunStatus
from shared.tables.writer import write_history_records
from simulator.history import COLUMNS, SimulatedRow, records, relive
from simulator.world import build_world

SEED, DAYS = 11, 180
ROWS_A_DAY = 2.0
"""Mean of one customer."""

ROWS_A_WORLD = 1_500_000
OWN = tuple(COLUMNS.index(name) for name in ("user_id", "merchant_id", "device_id"))
BARS: dict[int, dict[str, Bar]] = {
    10_000_000: {"peak_gib": ("<=", 3.0)},
    100_000_000: {"peak_gib": ("<=", 8.0), "seconds": ("<=", 3_600.0)},
}
HOURS = 6 * 3_600


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--in-memory", action="store_true", help="the snapshot as one DataFrame")
    asked.add_argument("--folder", type=Path, help="an existing folder on a disk with room")
    asked.add_argument("--processes", type=int, default=1, help="TASK_PROCESSES of the scheduler")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        figures = measure(
            Path(folder), given.rows, in_memory=given.in_memory, processes=given.processes
        )
    bars = {} if given.in_memory else BARS.get(given.rows, {})
    finish("out_of_core", figures, {**bars, "promoted": ("==", 1)})


def measure(folder: Path, wanted: int, *, in_memory: bool, processes: int = 1) -> dict[str, float]:
    """Fill a database, start both services, and watch the first model being made."""
    bound = wanted * 2 if in_memory else 0
    settings = {
        "SNAPSHOT_MEMORY_ROWS": str(bound),
        "RUN_TIME_LIMIT_SECONDS": str(HOURS),
        "TASK_PROCESSES": str(processes),
    }
    with Services(folder, **settings) as services:
        rows = write_worlds(services.engine, SystemClock().now_us(), wanted)
        services.start_api()
        scheduler = services.start("scheduler")
        say(f"waiting for the first model, {rows} rows")
        with MemoryWatch(scheduler.pid) as memory:
            run = services.wait_for_run(timeout_seconds=HOURS)
    tell(run)
    return {
        "rows": rows,
        "seconds": seconds(run),
        "peak_gib": round(memory.peak_bytes / GIB, 3),
        "promoted": int(run.status is RunStatus.SUCCEEDED),
    }


def write_worlds(engine: Engine, now_us: int, wanted: int) -> int:
    """About this many rows, in whole worlds of one size; returns how many there are."""
    worlds = -(-wanted // ROWS_A_WORLD)
    customers = round(wanted / worlds / (DAYS * ROWS_A_DAY))
    written = 0
    for number in range(worlds):
        for batch in _rows(number, customers, now_us):
            with engine.begin() as connection:
                prepare_for_bulk(connection)
                written += write_history_records(connection, COLUMNS, batch)
        say(f"{written} of about {wanted} rows written")
    return written


def _rows(number: int, customers: int, now_us: int) -> Iterator[list[SimulatedRow]]:
    """The rows of one world; its users, merchants and devices are no other world's."""
    world = build_world(SEED + number, customers=customers)
    for batch in records(world, relive(world, now_us, DAYS)):
        yield [
            tuple(
                f"{value}-{number}" if at in OWN and value is not None else value
                for at, value in enumerate(row)
            )
            for row in batch
        ]


if __name__ == "__main__":
    main()
