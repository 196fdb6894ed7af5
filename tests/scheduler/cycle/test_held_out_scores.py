"""Held-out rows in a file are scored by shards, with the scores of the rows in memory."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from learning.dataset.large import Workplace
from scheduler.cycle.evaluation import held_out_scores
from scheduler.cycle.examples import Examples, Material, build_examples
from shared.bundle.archive import pack, unpack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.execution.executor import executing
from shared.scoring.session import OnnxModel
from shared.usecase.learning import Split
from shared.usecase.rows import RowColumns
from shared.usecase.serving import FloatMatrix
from tests.support.large_history import DistrustfulTasks
from tests.support.tiny_graphs import tiny_graph

ROWS, HELD_OUT = 400, 150
ALL = ("speed", "unused", "size")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def bundle() -> bytes:
    inputs, outputs = served_signature(2, 2)
    about = TrainingData(
        rows=10, positives=1, window_start=MOMENT, window_end=MOMENT, sha256="0" * 64
    )
    manifest = Manifest(
        model_name="tiny", version="1.0.0", created_at=MOMENT, use_case="tiny", frameworks={},
        python_version="3.11", components=("one", "two"), feature_names=("size", "speed"),
        feature_set_version="1", inputs=inputs, outputs=outputs, thresholds={},
        hyperparameters={}, metrics={}, training_data=about, description="two weighted sums",
    )  # fmt: skip
    return pack(manifest, {"model.onnx": tiny_graph()})


def examples(kept_in: Workplace | None) -> Examples:
    random = np.random.default_rng(1)
    snapshot = pl.DataFrame(
        {
            "key": [f"r{number}" for number in range(ROWS)],
            "event_time": np.sort(random.integers(0, 10**13, ROWS)),
            "label": (random.random(ROWS) < 0.3).astype(np.int8),
            "note": ["not asked for"] * ROWS,
        }
    )
    matrix = random.random((ROWS, len(ALL))).astype(np.float32)
    begin = ROWS - HELD_OUT
    # every second row of the rest is unlabelled, say
    split = Split(np.arange(0, begin, 2), np.arange(begin, ROWS))
    material = Material(("speed", "size"), matrix, split)
    return build_examples(snapshot, material, ALL, RowColumns("key"), kept_in)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, rows_per_shard=60)


def test_shards_have_the_scores_of_the_rows_in_memory_to_the_bit(place: Workplace) -> None:
    raw, tasks = bundle(), DistrustfulTasks()
    model = OnnxModel.load(unpack(raw))
    in_memory = held_out_scores(model, raw, examples(None))
    in_files = examples(place)
    with executing(tasks):
        assert held_out_scores(model, raw, in_files).tobytes() == in_memory.tobytes()
    assert tasks.maps == ["scores of held-out rows 0 to 60"]
    assert in_memory.shape == (HELD_OUT, 2)


def test_features_and_digest_of_the_rows_are_the_same_and_no_other_columns_are_kept(
    place: Workplace,
) -> None:
    in_memory, in_files = examples(None), examples(place)
    assert in_files.held_out_matrix.tobytes() == in_memory.held_out_matrix.tobytes()
    assert in_files.train_matrix.tobytes() == in_memory.train_matrix.tobytes()
    assert in_files.training_data == in_memory.training_data
    assert set(in_memory.held_out.columns) - set(in_files.held_out.columns) == {"note"}
    some = np.array([3, 0, 149])
    for one in (in_memory, in_files):
        assert (one.held_out_columns(["size"], some) == one.held_out_matrix[some, 2:]).all()


def test_a_model_that_is_no_graph_scores_in_this_process(place: Workplace) -> None:
    @dataclass(frozen=True)
    class SumOfFeatures:
        """A model in Python."""

        manifest: Manifest
        sha256: str = ""

        def score(self, matrix: FloatMatrix) -> FloatMatrix:
            total: FloatMatrix = matrix.sum(axis=1, keepdims=True)
            return total

    raw, tasks = bundle(), DistrustfulTasks()
    in_files = examples(place)
    model = SumOfFeatures(unpack(raw).manifest)
    with executing(tasks):
        found = held_out_scores(model, raw, in_files)
    expected = in_files.held_out_columns(("size", "speed")).sum(axis=1, keepdims=True)
    assert (found == expected).all()
    assert tasks.maps == []


def test_rows_of_one_shard_are_one_task(place: Workplace) -> None:
    raw, tasks = bundle(), DistrustfulTasks()
    whole = examples(replace(place, rows_per_shard=HELD_OUT))
    with executing(tasks):
        held_out_scores(OnnxModel.load(unpack(raw)), raw, whole)
    assert tasks.maps == [f"scores of held-out rows 0 to {HELD_OUT}"]
