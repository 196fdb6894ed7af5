"""The way from a file to a served model, measured: `make bench-declared`.

`understudy new` on a CSV of twenty mixed columns, both services as processes, the first promotion;
then vectors of requests against those of the batch, and /predict against a constant and a tutorial
on one core; and the graph against the fitted model, on fresh rows with nulls, unseen words and
extreme numbers.
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import polars as pl

import usecases
from benchmarks.declared_model import converted_rows
from benchmarks.declared_world import ENTITY, LABEL, TIME, write_world
from benchmarks.load import SERVER_CORE, on_core, press, require_wrk
from benchmarks.report import Bar, finish
from benchmarks.services import REPOSITORY, Services, free_port
from learning.export.parity import compare_scores, rows_on_a_split, run_graph
from learning.trainers.train import export, fit
from shared.clock import SystemClock, isoformat
from shared.rows.encoder import RowEncoder
from shared.rows.schema import Kind, Row, RowSchema
from shared.tables.runs import RunStatus
from shared.usecase.serving import FloatMatrix
from usecases.declared.learning import DeclaredLearning, learning_of

NAME = "bench_declared"
ROWS, SHORT_ROWS, COMPARED, LIVE_ROWS = 100_000, 20_000, 20_000, 2_000
BARS: dict[str, Bar] = {
    "seconds_to_promotion": ("<=", 60.0),
    "live_vectors_unlike_batch": ("==", 0.0),
    "graph_rows_unlike_the_model": ("==", 0.0),
    "warm_vs_constant": (">=", 2.5),
    "warm_vs_tutorial": (">=", 40.0),
    "failed": ("==", 0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_ROWS:,} rows, one round")
    asked = parser.parse_args()
    require_wrk()
    folder = REPOSITORY / "usecases" / NAME
    if folder.exists():
        sys.exit(f"{folder} is there already: remove it")
    rows, rounds = (SHORT_ROWS, 1) if asked.short else (ROWS, 3)
    try:
        with tempfile.TemporaryDirectory() as name:
            figures = measured(Path(name), rows, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    finish("declared", figures, BARS)


def measured(folder: Path, rows: int, rounds: int) -> dict[str, float]:
    file = write_world(folder / "customers.csv", rows)
    settings = {"USE_CASE": NAME, "VAR_DIR": str(folder / "var")}
    with Services(folder, **settings) as services:
        began = time.perf_counter()
        propose(file)
        services.start_api()
        services.start("scheduler")
        run = services.wait_for_run(timeout_seconds=900)
        seconds = time.perf_counter() - began
        services.stop("scheduler")
        say(f"{run.status} {run.code}: {run.message} after {seconds:.1f} s")
        learning = learning_of(REPOSITORY / "usecases" / NAME)
        frame = converted_rows(learning, file, SystemClock().now_us())
        figures = {
            "rows": float(rows),
            "columns": 20.0,
            "seconds_to_promotion": round(seconds, 1),
            "promoted": float(run.status is RunStatus.SUCCEEDED),
            "live_vectors_unlike_batch": unlike(learning, frame.head(COMPARED)),
            **unlike_the_model(learning, frame, folder),
        }
        with rivals(folder, fitted_pipeline(folder, file)) as others:
            return figures | race(services, learning.row_schema, frame, others, rounds)


def propose(file: Path) -> None:
    """`understudy new`, as a person writes it."""
    told = ["--label", LABEL, "--time", TIME, "--entity", ENTITY]
    command = [sys.executable, "-m", "understudy", "new", NAME, "--from", str(file), *told]
    subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


def unlike(learning: DeclaredLearning, frame: pl.DataFrame) -> float:
    """Vectors made row by row that differ from those of the whole frame, in any bit."""
    schema = learning.row_schema
    columns = [frame[name].to_list() for name in schema.names]
    times = frame["event_time"].to_list()
    rows = [
        Row("r", "e", at, at, values)
        for at, values in zip(times, zip(*columns, strict=True), strict=True)
    ]
    live, batch = RowEncoder(schema).matrix(rows), learning.features(frame)
    differs: np.typing.NDArray[np.bool_] = (live.view(np.uint32) != batch.view(np.uint32)).any(1)
    return float(differs.sum())


def unlike_the_model(
    learning: DeclaredLearning, frame: pl.DataFrame, folder: Path
) -> dict[str, float]:
    """Fresh rows, some of them strange, that graph and model score differently off the splits."""
    labelled = frame.filter(pl.col("label").is_not_null())
    names, labels = learning.feature_set.names, labelled["label"].to_numpy()
    request = learning.training_request(learning.features(labelled), labels, names, 1)
    fitted = fit(request, request.recipes[0], slice(None))
    fresh = write_world(folder / "fresh.csv", COMPARED, seed=2)
    rows = strange(learning, converted_rows(learning, fresh, SystemClock().now_us()))
    on_a_split = rows_on_a_split(fitted.targets(), rows)
    native = fitted.predict(rows).reshape(len(rows), -1)
    found = compare_scores(native, run_graph(export(request, fitted, None), rows), on_a_split)
    return {
        "graph_rows": float(found.rows),
        "graph_rows_on_a_split": float(found.rows_on_a_split),
        "graph_rows_unlike_the_model": float(
            found.differing_rows - found.differing_rows_on_a_split
        ),
    }


def strange(learning: DeclaredLearning, frame: pl.DataFrame) -> FloatMatrix:
    """Vectors of the rows; a tenth each has an unseen city, nulls, and extreme numbers."""
    number = pl.int_range(pl.len())
    unseen = pl.when(number % 10 == 0).then("nowhere " + number.cast(pl.String)).otherwise("city")
    rows = learning.features(frame.with_columns(unseen.alias("city")))
    dice = np.random.default_rng(3)
    rows[1::10] = np.where(dice.random(rows[1::10].shape) < 0.5, np.nan, rows[1::10])
    for place, name in enumerate(learning.feature_set.names):
        if name[-1].isdigit():
            rows[2::10, place] = dice.choice([-1e30, 1e30, 0.0], len(rows[2::10]))
    return rows


def fitted_pipeline(folder: Path, file: Path) -> Path:
    """A scikit-learn pipeline on the same file, as a tutorial writes it, pickled."""
    import pandas as pd  # noqa: PLC0415
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OrdinalEncoder  # noqa: PLC0415

    frame = pd.read_csv(file)
    names = [name for name in frame if name.startswith(("amount", "calls"))]
    words = ["plan", "payment", "region", "device", "city"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepared = ColumnTransformer([("words", encoder, words), ("numbers", "passthrough", names)])
    pipeline = make_pipeline(prepared, HistGradientBoostingClassifier())
    pipeline.fit(frame, frame[LABEL] == "yes")
    path = folder / "pipeline.pickle"
    path.write_bytes(pickle.dumps((pipeline, [*words, *names])))
    return path


@contextmanager
def rivals(folder: Path, fitted: Path) -> Iterator[dict[str, tuple[str, int]]]:
    """Both rivals on the core of the service: where they answer, and their processes."""
    started: dict[str, tuple[str, int]] = {}
    processes = []
    try:
        for kind in ("constant", "tutorial"):
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.declared_rivals", kind, str(port), NAME]
            with on_core(SERVER_CORE), (folder / f"{kind}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen([*command, str(fitted)], cwd=REPOSITORY, stderr=log)
                )
            started[kind] = (f"http://127.0.0.1:{port}", processes[-1].pid)
        yield started
    finally:
        for process in processes:
            process.kill()
            process.wait()


def race(
    services: Services,
    schema: RowSchema,
    frame: pl.DataFrame,
    others: dict[str, tuple[str, int]],
    rounds: int,
) -> dict[str, float]:
    """Each in turn, several rounds; medians by the clock, and their ratios."""
    bodies = services.folder / "bodies.jsonl"
    bodies.write_text("".join(json.dumps(one) + "\n" for one in requests(schema, frame)))
    os.sched_setaffinity(services.pid("api"), {sorted(os.sched_getaffinity(0))[SERVER_CORE]})
    contestants = {**others, "warm": (services.url, services.pid("api"))}
    found: dict[str, list[float]] = {name: [] for name in contestants}
    by_processor: dict[str, list[float]] = {name: [] for name in contestants}
    failed = 0
    for name, (url, pid) in contestants.items():
        # warm-up, not counted: e.g. the drain process starts with the first row
        wait_for(url, bodies)
        press(f"{url}/predict", pid, bodies, f"{name}-first-", 1.0)
    for number in range(rounds):
        for name, (url, pid) in contestants.items():
            one = press(f"{url}/predict", pid, bodies, f"{name}-{number}-", 3.0)
            say(f"  {number} {name:<9} {one}")
            found[name].append(one.per_second)
            by_processor[name].append(one.per_cpu_second)
            failed += one.failed
    warm, of_processor = median(found["warm"]), median(by_processor["warm"])
    return {
        "warm_per_second": round(warm, 1),
        "warm_per_cpu_second": round(of_processor, 1),
        "warm_vs_constant_by_processor_time": round(
            of_processor / median(by_processor["constant"]), 2
        ),
        "warm_vs_constant": round(warm / median(found["constant"]), 2),
        "warm_vs_tutorial": round(warm / median(found["tutorial"]), 1),
        "failed": float(failed),
    }


def wait_for(url: str, bodies: Path) -> None:
    """Waits until an address answers a body; a server that refuses it is not compared."""
    body = bodies.read_text().splitlines()[0].replace("@ID", f"first-{time.time_ns()}")
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.post(f"{url}/predict", content=body, headers=_JSON, timeout=5)
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        if answer.status_code != httpx.codes.OK:
            sys.exit(f"{url} answers {answer.status_code}: {answer.text[:500]}")
        return


def requests(schema: RowSchema, frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as requests, each of a new id."""
    id_field = usecases.row_store(NAME).fields.row_id
    moments = [column.name for column in schema.columns if column.kind is Kind.MOMENT]
    for row in frame.head(LIVE_ROWS).iter_rows(named=True):
        body = {name: row[name] for name in schema.names if row[name] is not None}
        body |= {name: isoformat(row[name]) for name in moments if row[name] is not None}
        yield {id_field: "@ID", **body}


_JSON = {"Content-Type": "application/json"}


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
