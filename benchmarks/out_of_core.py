"""A history that exceeds memory, from snapshot to promotion: time, and the peak of memory, by step.

Rows are simulated world by world, each with users and merchants of its own, so that any number
of them can be written. `--in-memory` measures the same history as one DataFrame. `--handbook`
learns from the Handbook's rows twice, in memory and over files, and compares the times.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine, text

from benchmarks.cycle import GIB, say, seconds, tell
from benchmarks.handbook_history import PARQUET, write_handbook
from benchmarks.memory import MemoryWatch
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from shared.clock import MICROS_PER_SECOND, SystemClock, to_micros
from shared.tables.engine import prepare_for_bulk
from shared.tables.runs import Run, RunStatus
from shared.tables.schema import transaction_history_logs
from shared.tables.writer import write_history_records
from simulator.history import COLUMNS, SimulatedRow, records, relive
from simulator.world import build_world

SEED, DAYS = 11, 180
ROWS_A_DAY = 2.0
"""Mean of one customer."""

ROWS_A_WORLD = 1_500_000
SIMULATED_WORLDS = 2
"""All others are these again, with other names, amounts and times: ten times as fast."""

OWN = ("user_id", "merchant_id", "device_id")
INSTANTS = ("event_time", "ingested_at", "label_known_at")
EARLIER_SECONDS = 420
BARS: dict[int, dict[str, Bar]] = {
    10_000_000: {"peak_gib": ("<=", 3.0)},
    100_000_000: {"peak_gib": ("<=", 8.0), "seconds": ("<=", 3_600.0)},
}
HANDBOOK_BARS: dict[str, Bar] = {"files_to_memory": ("<=", 1.3), "promoted": ("==", 2)}
HOURS = 6 * 3_600
LONG_SECONDS = 1.0
Fill = Callable[[Engine], int]
Figures = dict[str, float]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--in-memory", action="store_true", help="the snapshot as one DataFrame")
    asked.add_argument("--handbook", action="store_true", help="both ways, and their ratio")
    asked.add_argument("--folder", type=Path, help="an existing folder on a disk with room")
    asked.add_argument("--processes", type=int, default=1, help="TASK_PROCESSES of the scheduler")
    given = asked.parse_args()
    if given.handbook:
        compare(given.folder, given.processes)

    def fill(engine: Engine) -> int:
        return write_worlds(engine, SystemClock().now_us(), given.rows)

    bound = given.rows * 2 if given.in_memory else 0
    figures = measure(given.folder, fill, bound, given.processes)
    bars = {} if given.in_memory else BARS.get(given.rows, {})
    finish("out_of_core", figures, {**bars, "promoted": ("==", 1)})


def compare(folder: Path | None, processes: int) -> NoReturn:
    """The Handbook's rows in memory and over files; what the second costs more, step by step."""
    if not PARQUET.exists():
        say(f"no file at {PARQUET} (HANDBOOK_PARQUET): nothing to measure")
        finish("out_of_core_handbook", {}, HANDBOOK_BARS)

    def fill(engine: Engine) -> int:
        return write_handbook(engine, SystemClock().now_us())

    memory, files = (measure(folder, fill, bound, processes) for bound in (10_000_000, 0))
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


def measure(root: Path | None, fill: Fill, rows_in_memory: int, processes: int) -> Figures:
    """Fill a database, start both services, and watch the first model being made."""
    settings = {
        "SNAPSHOT_MEMORY_ROWS": str(rows_in_memory),
        "RUN_TIME_LIMIT_SECONDS": str(HOURS),
        "TASK_PROCESSES": str(processes),
    }
    with tempfile.TemporaryDirectory(dir=root) as name, Services(Path(name), **settings) as one:
        began_us = SystemClock().now_us()
        rows = fill(one.engine)
        filled_seconds = round((SystemClock().now_us() - began_us) / MICROS_PER_SECOND, 1)
        # much of it may still be in the write-ahead log
        size = sum(file.stat().st_size for file in Path(name).glob("understudy.db*"))
        one.start_api()
        scheduler = one.start("scheduler")
        say(f"waiting for the first model, {rows} rows, written in {filled_seconds} s")
        with MemoryWatch(scheduler.pid) as memory:
            run = one.wait_for_run(timeout_seconds=HOURS)
    tell(run)
    return {
        "rows": rows,
        "fill_seconds": filled_seconds,
        "database_gib": round(size / GIB, 3),
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


def write_worlds(engine: Engine, now_us: int, wanted: int, rows_a_world: int = ROWS_A_WORLD) -> int:
    """About this many rows, in whole worlds of one size; returns how many there are.

    Counters that only the API reads are not kept for copied worlds.
    """
    worlds = -(-wanted // rows_a_world)
    customers = round(wanted / worlds / (DAYS * ROWS_A_DAY))
    written = 0
    for number in range(worlds):
        if number < SIMULATED_WORLDS:
            for batch in _rows(number, customers, now_us):
                with engine.begin() as connection:
                    prepare_for_bulk(connection)
                    written += write_history_records(connection, COLUMNS, batch)
        else:
            written += _copy(engine, number % SIMULATED_WORLDS, number)
        say(f"{written} of about {wanted} rows written")
    return written


def _rows(number: int, customers: int, now_us: int) -> Iterator[list[SimulatedRow]]:
    """The rows of one world; its users, merchants and devices are no other world's."""
    world = build_world(SEED + number, customers=customers)
    own = {COLUMNS.index(name) for name in OWN}
    for batch in records(world, relive(world, now_us, DAYS)):
        yield [
            tuple(
                _own_name(number) + value if at in own and value is not None else value
                for at, value in enumerate(row)
            )
            for row in batch
        ]


def _own_name(number: int) -> str:
    # in front: the rows of a world are neighbours in every index
    return f"{number:03d}-"


def _copy(engine: Engine, source: int, number: int) -> int:
    """A world again: other names, a little earlier, and a little larger amounts."""
    row_id, of = f"s{SEED + number}-", f"s{SEED + source}-"
    taken = {name: name for name in COLUMNS}
    taken |= {name: f"'{_own_name(number)}' || substr({name}, 5)" for name in OWN}
    taken |= {name: f"{name} - {number * EARLIER_SECONDS * MICROS_PER_SECOND}" for name in INSTANTS}
    taken["transaction_id"] = f"'{row_id}' || substr(transaction_id, {len(of) + 1})"
    taken["amount"] = f"round(amount * {1 + number * 0.003}, 2)"
    table = transaction_history_logs.name
    statement = (
        f"INSERT INTO {table} ({', '.join(taken)}) "
        f"SELECT {', '.join(taken.values())} FROM {table} "
        f"WHERE transaction_id >= '{of}' AND transaction_id < '{of[:-1]}.'"
    )
    with engine.begin() as connection:
        prepare_for_bulk(connection)
        return connection.execute(text(statement)).rowcount


if __name__ == "__main__":
    main()
