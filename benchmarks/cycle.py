"""The duration of a full cycle, from snapshot to promotion, with both services as processes.

4,000 simulated rows, and the whole Handbook data where its file exists. The time is what the
scheduler recorded of the run itself; the memory is that of the scheduler and its children.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.handbook_history import PARQUET, write_handbook
from benchmarks.memory import MemoryWatch
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.small_world import write_small_world
from shared.clock import SystemClock
from shared.tables.runs import Run, RunStatus

SMALL_ROWS = 4_000
GIB = 1024**3
BARS: dict[str, dict[str, Bar]] = {
    "small": {"small_seconds": ("<=", 10.0), "small_promoted": ("==", 1)},
    "handbook": {
        "handbook_seconds": ("<=", 180.0),
        "handbook_peak_gib": ("<=", 4.0),
        "handbook_promoted": ("==", 1),
    },
}
Fill = Callable[[Engine], int]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", choices=tuple(BARS), help="measure just this part")
    only = asked.parse_args().only
    fills: dict[str, Fill] = {
        "small": lambda engine: write_small_world(engine, SystemClock().now_us(), SMALL_ROWS),
        "handbook": lambda engine: write_handbook(engine, SystemClock().now_us()),
    }
    if not PARQUET.exists() and only != "handbook":
        say(f"no file at {PARQUET} (HANDBOOK_PARQUET): only the simulated rows are measured")
        only = "small"
    parts = [only] if only else list(fills)
    figures: dict[str, float] = {}
    for part in parts:
        figures |= measure(part, fills[part])
    bars = {name: bar for part in parts for name, bar in BARS[part].items()}
    finish("cycle", figures, bars)


def measure(part: str, fill: Fill) -> dict[str, float]:
    """Fill a fresh database, start both services, and watch the first model being made."""
    with tempfile.TemporaryDirectory() as folder, Services(Path(folder)) as services:
        say(f"{part}: writing history")
        rows = fill(services.engine)
        services.start_api()
        scheduler = services.start("scheduler")
        say(f"{part}: waiting for the first model, {rows} rows")
        with MemoryWatch(scheduler.pid) as memory:
            run = services.wait_for_run(timeout_seconds=900)
        tell(run)
    return {
        f"{part}_rows": rows,
        f"{part}_seconds": seconds(run),
        f"{part}_peak_gib": round(memory.peak_bytes / GIB, 3),
        f"{part}_promoted": int(run.status is RunStatus.SUCCEEDED),
    }


def seconds(run: Run) -> float:
    """Seconds from the claim of a run to its record."""
    if run.started_at is None or run.finished_at is None:
        return float("nan")
    lasted = datetime.fromisoformat(run.finished_at) - datetime.fromisoformat(run.started_at)
    return round(lasted.total_seconds(), 3)


def tell(run: Run) -> None:
    """Prints the time of each step."""
    for step in run.steps or ():
        say(f"  {step['duration_seconds']:8.3f} s  {step['step']:<13} {step['result']}")
    say(f"  {seconds(run):8.3f} s  {run.status} {run.code}: {run.message}")


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
