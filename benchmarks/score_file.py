"""Files through a version: a declared use case, again with a kill in its middle, and fraud.

The bundles are those of the trainers; only their way from the API, one download, is left out. Rows
are read from CSV, answers written as Parquet. Fraud reads its features from stored history, a
quarter as many rows as the file, and from the file itself.
"""

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from benchmarks.declared_world import declaration, write_world
from benchmarks.report import finish
from shared.bundle.archive import unpack
from shared.clock import SystemClock
from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.sources import opened_files
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_history_records
from understudy.score_parts import make_parts, put_together
from understudy.score_plan import BUNDLE, PLAN, ScorePlan, ScoringJob

TRAINING_ROWS, ROWS, SHORT_ROWS, PROCESSES = 20_000, 1_000_000, 200_000, 2
_CHILD_SECONDS = 600
_DAYS, _ROWS_A_CUSTOMER = 180, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_ROWS:,} rows")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        score(asked.child, asked.child / "again.parquet", asked.child / "again")
        return
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as name:
        folder = Path(name)
        rows = SHORT_ROWS if asked.short else ROWS
        prepare(folder, rows)
        figures = measured(folder, rows) | killed(folder, rows) | with_history(folder, rows)
    bars = {
        "rows_per_second": (">=", 100_000.0),
        "missing_or_double_after_kill": ("==", 0.0),
        "fraud_rows_per_second": (">=", 40_000.0),
    }
    finish("score_file", figures, bars)


def prepare(folder: Path, rows: int) -> None:
    """The use case, its model, and the file."""
    # imported here: scoring processes import this module, and need no training library
    from benchmarks.declared_model import converted_rows, trained_bundle  # noqa: PLC0415
    from usecases.declared.learning import learning_of  # noqa: PLC0415

    (folder / FILE_NAME).write_text(declaration())
    learning = learning_of(folder)
    training = write_world(folder / "training.csv", TRAINING_ROWS, seed=1)
    frame = converted_rows(learning, training, SystemClock().now_us())
    raw = trained_bundle(learning, frame)
    digest = hashlib.sha256(raw).hexdigest()
    plan = ScorePlan([], "", "1.0.0", digest, SystemClock().now_us())
    for name in ("once", "again"):
        (folder / name).mkdir()
        (folder / name / BUNDLE).write_bytes(raw)
        (folder / name / PLAN).write_text(json.dumps(asdict(plan)))
    write_world(folder / "rows.csv", rows, seed=2)


def score(folder: Path, out: Path, parts: Path) -> int:
    """Score the file of a folder; how many rows an earlier start had scored."""
    plan = ScorePlan(**json.loads((parts / PLAN).read_text()))
    work = ScoringJob(parts, plan, unpack((parts / BUNDLE).read_bytes()))
    declared = read_declaration(folder / FILE_NAME)
    with opened_files([folder / "rows.csv"], declared.csv) as tables:
        counts = make_parts(work, folder, tables, PROCESSES)
    put_together(work, out)
    return counts.kept


def measured(folder: Path, rows: int) -> dict[str, float]:
    """Everything a command does behind its download, processes started included."""
    began = time.perf_counter()
    score(folder, folder / "once.parquet", folder / "once")
    seconds = time.perf_counter() - began
    return {
        "rows": float(rows),
        "columns": 20.0,
        "processes": float(PROCESSES),
        "seconds": round(seconds, 2),
        "rows_per_second": round(rows / seconds),
    }


def killed(folder: Path, rows: int) -> dict[str, float]:
    """SIGKILL after the first parts, then the same command again."""
    command = [sys.executable, "-m", "benchmarks.score_file", "--child", str(folder)]
    parts = folder / "again"
    first = subprocess.Popen(command)
    deadline = time.monotonic() + _CHILD_SECONDS
    while len(list(parts.glob("part-*.parquet"))) < 2 and first.poll() is None:
        if time.monotonic() > deadline:
            raise SystemExit("no part was made in time")
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait()
    made = len(list(parts.glob("part-*.parquet")))
    subprocess.run(command, check=True, timeout=_CHILD_SECONDS)
    found = pl.read_parquet(folder / "again.parquet")
    once = pl.read_parquet(folder / "once.parquet")
    ids = found["row_id"]
    wrong = rows - ids.n_unique() + len(ids) - ids.n_unique()
    return {
        "parts_at_kill": float(made),
        "missing_or_double_after_kill": float(wrong),
        "answers_unlike_the_undisturbed_run": float(
            (found["probability"] != once["probability"]).sum() if len(found) == len(once) else rows
        ),
    }


def with_history(folder: Path, rows: int) -> dict[str, float]:
    """The newer part of a simulated past as a file, scored beside the older part in a database."""
    # imported here, as in `prepare`
    from benchmarks.scoring import ask_about, bundle_of, simulated_examples  # noqa: PLC0415
    from understudy.score_history import make_parts_with_history  # noqa: PLC0415
    from usecases.fraud.training.candidate import train_candidate  # noqa: PLC0415

    ask = ask_about(simulated_examples())
    bundle = bundle_of(train_candidate(ask, lambda _what, _share: None), ask)
    engine = connect(f"sqlite:///{folder / 'history.db'}")
    migrate(engine)
    file = write_past(engine, folder / "transactions.csv", rows)
    parts = folder / "fraud"
    parts.mkdir()
    work = ScoringJob(parts, ScorePlan([], "", "1.0.0", "", SystemClock().now_us()), bundle)
    began = time.perf_counter()
    counts, _ = make_parts_with_history(
        work, "fraud", engine, [file], mapping=None, progress=lambda _: None
    )
    put_together(work, folder / "fraud.parquet")
    seconds = time.perf_counter() - began
    engine.dispose()
    return {
        "fraud_rows": float(counts.rows),
        "fraud_rows_per_second": round(counts.rows / seconds),
        "fraud_rows_without_answer": float(counts.errors.total()),
    }


def write_past(engine: Engine, path: Path, rows: int) -> Path:
    """`rows` of a simulated past as CSV, and a quarter as many before them in the database."""
    from simulator.history import COLUMNS, records, relive  # noqa: PLC0415
    from simulator.world import build_world  # noqa: PLC0415

    stored = rows // 4
    world = build_world(7, customers=(rows + stored) // _ROWS_A_CUSTOMER, merchants=2_000)
    past = relive(world, SystemClock().now_us(), _DAYS)
    every = [row for batch in records(world, past) for row in batch][-rows - stored :]
    with engine.begin() as connection:
        write_history_records(connection, COLUMNS, every[:stored])
    frame = pl.DataFrame(
        every[stored:], schema=list(COLUMNS), orient="row", infer_schema_length=None
    )
    instants = pl.from_epoch("event_time", time_unit="us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    about = [name for name in COLUMNS if "label" not in name and name != "ingested_at"]
    frame.select(about).with_columns(instants).write_csv(path)
    return path


if __name__ == "__main__":
    main()
