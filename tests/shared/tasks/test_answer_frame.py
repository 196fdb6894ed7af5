"""Answers of many rows say what the answer of each row says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tasks import Task, answer_function
from shared.tasks.answer_frame import answer_frame
from shared.tasks.task import OUTLIER

NAMES = tuple(f"n{at}" for at in range(12))
TASKS = [
    Task.binary("yes", "no"),
    Task.multiclass(NAMES[:3]),
    Task.regression(),
    Task.ranking(NAMES),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@given(
    seed=st.integers(0, 1_000),
    thresholds=st.sampled_from([{}, {"decision": 0.3, OUTLIER: 0.6}, {"decision": 0.5}]),
    has_outlier=st.booleans(),
)
def test_columns_hold_the_fields_of_each_row(
    task: Task, seed: int, thresholds: dict[str, float], has_outlier: bool
) -> None:
    components = (*task.outputs, OUTLIER) if has_outlier else task.outputs
    random = np.random.default_rng(seed)
    # few distinct numbers: ties, and scores on a threshold
    scores = (random.integers(0, 11, (7, len(components))) / 10).astype(np.float32)
    found = answer_frame(task, components, thresholds, scores)
    answer = answer_function(task, components, thresholds)
    for row, outputs in zip(found.iter_rows(named=True), scores.tolist(), strict=True):
        told = answer(outputs)
        for rank, item in enumerate(told.pop("items", []), 1):
            told |= {f"item {rank}": item["item"], f"score {rank}": item["score"]}
        for name, probability in told.pop("probabilities", {}).items():
            told[f"probability {name}"] = probability
        assert row == told


def test_no_rows_are_no_answers() -> None:
    for task in TASKS:
        empty = np.empty((0, len(task.outputs)), dtype=np.float32)
        assert answer_frame(task, task.outputs, {}, empty).height == 0
