"""A file of a declared use case through a version, and again with a kill in its middle.

The bundle is the built-in trainer's, signed by a key of this run; only its way from the API, one
download, is left out. Rows are read from CSV, answers written as Parquet.
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

from benchmarks.declared_world import declaration, write_world
from benchmarks.report import finish
from shared.bundle.archive import unpack
from shared.clock import SystemClock
from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.sources import opened_files
from understudy.score_parts import make_parts, put_together
from understudy.score_plan import BUNDLE, PLAN, Plan, ScoringJob

TRAINING_ROWS, ROWS, SHORT_ROWS, PROCESSES = 20_000, 1_000_000, 200_000, 2
_CHILD_SECONDS = 600


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
        figures = measured(folder, rows) | killed(folder, rows)
    bars = {"rows_per_second": (">=", 100_000.0), "missing_or_double_after_kill": ("==", 0.0)}
    finish("score_file", figures, bars)


def prepare(folder: Path, rows: int) -> None:
    """The use case, its model, and the file."""
    # not at the top: processes that score import this module, and need no training library
    from benchmarks.declared_model import converted_rows, trained_bundle  # noqa: PLC0415
    from usecases.declared.learning import learning_of  # noqa: PLC0415

    (folder / FILE_NAME).write_text(declaration())
    learning = learning_of(folder)
    training = write_world(folder / "training.csv", TRAINING_ROWS, seed=1)
    frame = converted_rows(learning, training, SystemClock().now_us())
    raw = trained_bundle(learning, frame)
    digest = hashlib.sha256(raw).hexdigest()
    plan = Plan([], "", "1.0.0", digest, SystemClock().now_us())
    for name in ("once", "again"):
        (folder / name).mkdir()
        (folder / name / BUNDLE).write_bytes(raw)
        (folder / name / PLAN).write_text(json.dumps(asdict(plan)))
    write_world(folder / "rows.csv", rows, seed=2)


def score(folder: Path, out: Path, parts: Path) -> int:
    """Score the file of a folder; how many rows an earlier start had scored."""
    plan = Plan(**json.loads((parts / PLAN).read_text()))
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


if __name__ == "__main__":
    main()
