"""A history that exceeds memory, from snapshot to promotion: time, and the peak of memory, by step.

Rows are simulated world by world, each with users and merchants of its own, so that any number
of them can be written. `--lake` keeps two worlds in the database and all others in a lake.
`--in-memory` measures the same history as one DataFrame. `--handbook` learns from the Handbook's
rows twice, in memory and over files, and compares the times.
"""

import argparse
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine

from benchmarks.cycle import GIB, say, seconds, tell
from benchmarks.handbook_history import PARQUET, write_handbook
from benchmarks.memory import DiskWatch, MemoryWatch
from benchmarks.out_of_core_worlds import write_lake, write_worlds
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from shared.clock import MICROS_PER_SECOND, SystemClock, to_micros
from shared.importing.lake import Lake
from shared.tables.runs import Run, RunStatus

BARS: dict[int, dict[str, Bar]] = {
    10_000_000: {"peak_gib": ("<=", 3.0)},
    100_000_000: {"peak_gib": ("<=", 8.0), "seconds": ("<=", 3_600.0)},
}
HANDBOOK_BARS: dict[str, Bar] = {"files_to_memory": ("<=", 1.3), "promoted": ("==", 2)}
HOURS = 6 * 3_600
LONG_SECONDS = 1.0
Fill = Callable[[Engine, Lake], int]
Figures = dict[str, float]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--lake", action="store_true", help="most rows in a lake: a third less disk")
    asked.add_argument("--in-memory", action="store_true", help="the snapshot as one DataFrame")
    asked.add_argument("--handbook", action="store_true", help="both ways, and their ratio")
    asked.add_argument("--folder", type=Path, help="an existing folder on a disk with room")
    asked.add_argument("--processes", type=int, default=1, help="TASK_PROCESSES of the scheduler")
    given = asked.parse_args()
    if given.handbook:
        compare(given.folder, given.processes)

    def fill(engine: Engine, lake: Lake) -> int:
        now_us = SystemClock().now_us()
        if given.lake:
            return write_lake(engine, lake, now_us, given.rows)
        return write_worlds(engine, now_us, given.rows)

    settings = {
        "SNAPSHOT_MEMORY_ROWS": str(given.rows * 2 if given.in_memory else 0),
        "TASK_PROCESSES": str(given.processes),
    }
    figures = measure(given.folder, fill, settings, has_lake=given.lake)
    bars = {} if given.in_memory else BARS.get(given.rows, {})
    finish("out_of_core", figures, {**bars, "promoted": ("==", 1)})


def compare(folder: Path | None, processes: int) -> NoReturn:
    """The Handbook's rows in memory and over files; what the second costs more, step by step."""
    if not PARQUET.exists():
        say(f"no file at {PARQUET} (HANDBOOK_PARQUET): nothing to measure")
        finish("out_of_core_handbook", {}, HANDBOOK_BARS)

    def fill(engine: Engine, _lake: Lake) -> int:
        return write_handbook(engine, SystemClock().now_us())

    memory, files = (
        measure(folder, fill, {"SNAPSHOT_MEMORY_ROWS": str(most), "TASK_PROCESSES": str(processes)})
        for most in (10_000_000, 0)
    )
    figures = {
        "files_to_memory": round(files["seconds"] / memory["seconds"], 3),
        "promoted": memory["promoted"] + files["promoted"],
    }
    figures |= {f"memory_{name}": value for name, value in memory.items()}
    figures |= {f"files_{name}": value for name, value in files.items()}
    for name, value in memory.items():
        if name.endswith("_s") and value >= LONG_SECONDS:
            figures[f"{name.removesuffix('_s')}_files_to_memory"] = round(files[name] / value, 3)
    finish("out_of_core_handbook", figures, HANDBOOK_BARS)


def measure(
    root: Path | None, fill: Fill, settings: dict[str, str], *, has_lake: bool = False
) -> Figures:
    """Fill a database, start both services, and watch the first model being made."""
    with tempfile.TemporaryDirectory(dir=root) as name:
        lake = Lake.at(f"{name}/lake")
        used = {"RUN_TIME_LIMIT_SECONDS": str(HOURS), **settings}
        if has_lake:
            used["LAKE_URL"] = lake.url
        with Services(Path(name), **used) as one:
            return _measured(one, fill, lake)


def _measured(one: Services, fill: Fill, lake: Lake) -> Figures:
    began_us = SystemClock().now_us()
    rows = fill(one.engine, lake)
    filled_seconds = round((SystemClock().now_us() - began_us) / MICROS_PER_SECOND, 1)
    # much of it may still be in the write-ahead log
    size = sum(file.stat().st_size for file in one.folder.glob("understudy.db*"))
    one.start_api()
    scheduler = one.start("scheduler")
    say(f"waiting for the first model, {rows} rows, written in {filled_seconds} s")
    with MemoryWatch(scheduler.pid) as memory, DiskWatch(one.folder) as disk:
        run = one.wait_for_run(timeout_seconds=HOURS)
    tell(run)
    return {
        "rows": rows,
        "fill_seconds": filled_seconds,
        "database_gib": round(size / GIB, 3),
        "disk_of_run_gib": round(disk.peak_bytes / GIB, 3),
        "seconds": seconds(run),
        "peak_gib": round(memory.peak_bytes / GIB, 3),
        "peak_anonymous_gib": round(memory.peak_anonymous_bytes / GIB, 3),
        "promoted": int(run.status is RunStatus.SUCCEEDED),
        **by_step(run, memory),
    }


def by_step(run: Run, memory: MemoryWatch) -> Figures:
    """Seconds of each step, and the most memory that was seen in it, if it took long enough."""
    found: Figures = {}
    for step in run.steps or ():
        began = to_micros(datetime.fromisoformat(step["started_at"]))
        lasted = step["duration_seconds"]
        peak = memory.peak_between(began, began + round(lasted * MICROS_PER_SECOND))
        found[f"{step['step']}_s"] = lasted
        if peak:
            found[f"{step['step']}_gib"] = round(peak / GIB, 3)
    return found


if __name__ == "__main__":
    main()
