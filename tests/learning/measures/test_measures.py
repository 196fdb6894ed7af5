"""Measures: against scikit-learn, and their influence against the jackknife."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as referee

from learning.measures import Margin, default_measure, known_measures, measure_named, point_values
from learning.measures.classes import LEAST
from learning.measures.measure import Floats
from shared.tasks import Task, TaskKind

TASKS = {
    TaskKind.BINARY: Task.binary(),
    TaskKind.MULTICLASS: Task.multiclass(["a", "b", "c"]),
    TaskKind.REGRESSION: Task.regression(),
    TaskKind.RANKING: Task.ranking([str(item) for item in range(7)]),
}
WITH_INFLUENCE = [name for name in known_measures() if name not in ("auc", "average_precision")]


def drawn(kind: TaskKind, rows: int = 200, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    if kind is TaskKind.BINARY:
        return np.round(rng.random(rows), 2), rng.integers(0, 2, rows).astype(float)
    if kind is TaskKind.MULTICLASS:
        return rng.dirichlet(np.ones(3), rows), rng.integers(0, 3, rows).astype(float)
    if kind is TaskKind.REGRESSION:
        labels = rng.normal(50, 10, rows)
        return labels + rng.normal(0, 4, rows), labels
    ratings = rng.integers(1, 6, (rows, 7)).astype(float)
    ratings[rng.random(ratings.shape) < 0.3] = np.nan
    ratings[:, 0] = 3.0
    return rng.normal(3, 1, ratings.shape), ratings


def kind_of(name: str) -> TaskKind:
    return next(kind for kind in TaskKind if kind in measure_named(name).tasks)


def test_values_are_those_of_scikit_learn() -> None:
    scores, labels = drawn(TaskKind.BINARY)
    ours = point_values(TASKS[TaskKind.BINARY], scores, labels, more=["macro_f1"])
    said = (scores >= 0.5).astype(int)
    assert ours == pytest.approx(
        {
            "average_precision": referee.average_precision_score(labels, scores),
            "auc": referee.roc_auc_score(labels, scores),
            "log_loss": referee.log_loss(labels, np.clip(scores, LEAST, 1 - LEAST)),
            "brier": referee.brier_score_loss(labels, scores),
            "accuracy": referee.accuracy_score(labels, said),
            "macro_f1": referee.f1_score(labels, said, average="macro"),
        },
        abs=1e-6,
    )
    shares, labels = drawn(TaskKind.MULTICLASS)
    ours = point_values(TASKS[TaskKind.MULTICLASS], shares, labels)
    said = shares.argmax(axis=1)
    assert ours["log_loss"] == pytest.approx(referee.log_loss(labels, shares), abs=1e-5)
    assert ours["macro_f1"] == pytest.approx(referee.f1_score(labels, said, average="macro"))
    assert ours["balanced_accuracy"] == pytest.approx(referee.balanced_accuracy_score(labels, said))
    values, labels = drawn(TaskKind.REGRESSION)
    ours = point_values(TASKS[TaskKind.REGRESSION], values, labels, more=["pinball_90"])
    assert ours["rmse"] == pytest.approx(referee.root_mean_squared_error(labels, values))
    assert ours["r2"] == pytest.approx(referee.r2_score(labels, values))
    pinball = referee.mean_pinball_loss(labels, values, alpha=0.9)
    assert ours["pinball_90"] == pytest.approx(pinball)


def test_ndcg_of_complete_rows_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels = rng.normal(size=(50, 7))
    predictions = rng.normal(size=labels.shape)
    worth = labels - labels.min(axis=1, keepdims=True)
    for k in (1, 5, 7, 20):
        ours = measure_named(f"ndcg_at_{k}").of(predictions, labels).value
        assert ours == pytest.approx(referee.ndcg_score(worth, predictions, k=k))


def test_precision_and_recall_at_k_count_the_relevant_items() -> None:
    labels = np.array([[5.0, 1.0, 4.0, np.nan]])
    predictions = np.array([[3.0, 2.0, 1.0, 9.0]])  # known ones in the order 0, 1, 2
    found = {
        name: measure_named(name).of(predictions, labels).value
        for name in ("precision_at_2", "recall_at_2", "f1_at_2", "recall_at_3", "precision_at_9")
    }
    assert found == {
        "precision_at_2": 0.5, "recall_at_2": 0.5, "f1_at_2": 0.5, "recall_at_3": 1.0,
        "precision_at_9": pytest.approx(2 / 3),
    }  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(WITH_INFLUENCE), st.integers(0, 10_000))
def test_a_rows_influence_is_what_the_value_changes_by_without_it(name: str, seed: int) -> None:
    predictions, labels = drawn(kind_of(name), 120, seed)
    measure = measure_named(name)
    whole = measure.of(predictions, labels)
    assert whole.influence is not None
    left_out = np.array(
        [
            measure.of(np.delete(predictions, row, 0), np.delete(labels, row, 0)).value
            for row in range(len(labels))
        ]
    )
    jackknife = whole.value - left_out
    assert whole.influence.sum() == pytest.approx(0.0, abs=1e-9 * (1 + abs(whole.value)))
    exact, approximate = np.square(jackknife).sum(), np.square(whole.influence).sum()
    assert approximate == pytest.approx(exact, rel=0.25)


@pytest.mark.parametrize("name", known_measures())
def test_a_better_model_has_the_larger_value(name: str) -> None:
    kind = kind_of(name)
    predictions, labels = drawn(kind)
    if kind is TaskKind.MULTICLASS:
        better = predictions.copy()
        better[np.arange(len(labels)), labels.astype(int)] += 1.0
        better /= better.sum(axis=1, keepdims=True)
    else:
        better = np.where(np.isnan(labels), 0.0, 0.9 * labels + 0.1 * predictions)
    measure = measure_named(name)
    before, after = (measure.of(scores, labels).value for scores in (predictions, better))
    assert after > before
    assert measure.bounds[0] <= before < after <= measure.bounds[1]
    assert bool(measure.shown(after) < measure.shown(before)) is measure.is_loss


@pytest.mark.parametrize("kind", list(TaskKind))
def test_every_task_has_a_measure_by_default_and_undefined_is_nan(kind: TaskKind) -> None:
    task = TASKS[kind]
    predictions, labels = drawn(kind)
    assert default_measure(task) in point_values(task, predictions, labels)
    broken = np.full_like(predictions, np.nan)
    assert all(map(math.isnan, point_values(task, broken, labels).values()))
    assert all(map(math.isnan, point_values(task, predictions[:0], labels[:0]).values()))


def test_an_unknown_measure_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"unknown metric 'rsme'; known: .*rmse"):
        measure_named("rsme")
    with pytest.raises(ValueError, match="unknown metric"):
        measure_named("ndcg_at_0")


def test_a_margin_is_an_amount_or_a_share_of_the_champions_value() -> None:
    assert Margin.parse("2 %").of(-50.0) == pytest.approx(1.0)
    assert Margin.parse(0.01).of(-50.0) == 0.01
    assert Margin.parse("2 %").champion_weight(-50.0) == pytest.approx(1.02)
    assert Margin.parse("2%").champion_weight(0.8) == pytest.approx(0.98)
    for wrong in ("2", "-2 %", "100 %", -0.1, True, math.nan):
        with pytest.raises(ValueError, match="margin"):
            Margin.parse(wrong)
