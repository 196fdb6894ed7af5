"""NDCG@5 of the recommender against its baselines, on the data that ships.

`usecases/recommender` is trained on its generated ratings as the scheduler does it; the graph that
would be served, and both baselines beside it, answer the held-out rows, which are the newest. Gains
have intervals that are clustered by viewer and day (95 %); where one is not above 0, it is said.
"""

import argparse
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from benchmarks.report import finish
from learning.export.parity import run_graph
from learning.measures import point_values
from scheduler.cycle.examples import Material, build_examples
from scheduler.statistics.compare import compare_sample
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from shared.clock import SystemClock, to_datetime
from shared.importing.files import PLACES, Piece
from shared.rows.convert import RowConverter, needed_sources
from shared.rows.frames import snapshot_schema
from shared.usecase.learning import BASELINES
from usecases.declared.learning import DeclaredLearning, learning_of
from usecases.recommender.generate import GENERATED

METRIC, ROWS = "ndcg_at_5", 20_000
ERROR = 0.025
"""The error probability of each side of an interval."""


def snapshot_of(learning: DeclaredLearning, now_us: int, seed: int) -> pl.DataFrame:
    """The generated file as it would stand in the table."""
    frame = GENERATED.make(ROWS, seed, to_datetime(now_us))
    columns = needed_sources(learning.declared, frame.columns, "ratings")
    rows = pl.Series(PLACES[0], range(1, frame.height + 1), pl.Int64)
    converter = RowConverter(learning.declared, now_us)
    accepted = converter.convert(Piece(frame.select(columns), rows, rows, 1.0)).accepted
    known = snapshot_schema(learning.row_schema)
    missing = [
        pl.lit(None, kind).alias(n) for n, kind in known.items() if n not in accepted.columns
    ]
    return accepted.with_columns(missing).select(list(known)).sort("event_time", "row_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    seed = parser.parse_args().seed
    learning, now_us = learning_of(GENERATED.file.parent), SystemClock().now_us()
    snapshot = snapshot_of(learning, now_us, seed)
    names = learning.feature_set.names
    matrix, split = learning.features(snapshot), learning.split(snapshot, now_us)
    material = Material(names, matrix, split, learning.task)
    examples = build_examples(snapshot, material, names, learning.columns)
    began = time.process_time()
    made = learning.train(examples.train_matrix, examples.train_labels, names, seed, _silent)
    figures: dict[str, float] = {"train_cpu_seconds": time.process_time() - began}
    figures |= {"train_rows": len(split.train), "held_out_rows": len(split.held_out)}
    rows, truth = examples.held_out_matrix, examples.held_out_labels.astype(np.float64)
    served = run_graph(made.files["model.onnx"], rows).astype(np.float64)
    figures |= point_values(learning.task, served, truth)
    evidence = Evidence(
        None, served, truth, examples.customers(), examples.days(), task=learning.task
    )
    for path, graph in made.files.items():
        if path.startswith(BASELINES):
            name = path.removeprefix(BASELINES).removesuffix(".onnx")
            figures |= gains(evidence, name, run_graph(graph, rows).astype(np.float64))
    figures = {name: round(float(value), 4) for name, value in figures.items()}
    finish("recommender", figures, {f"{n}_gain_lower": (">", 0.0) for n in ("own_vector", "ridge")})


def gains(evidence: Evidence, name: str, baseline: Any) -> dict[str, float]:
    """The model's gain over a baseline, with its interval."""
    found = compare_sample(
        replace(evidence, champion=baseline).sample(), METRIC, ERROR, MeasurementPlan()
    )
    if found.lower <= 0:
        sys.stderr.write(f"not shown to beat {name}\n")
    return {
        f"{name}_{METRIC}": found.champion,
        f"{name}_gain": found.difference,
        f"{name}_gain_lower": found.lower,
        f"{name}_gain_upper": found.upper,
    }


def _silent(_what: str, _share: float) -> None:
    pass


if __name__ == "__main__":
    main()
