"""Training: the graph says what was learned, the best recipe wins, and faults name their place."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from learning.export.graph import to_onnx
from learning.export.parity import run_graph
from learning.measures import measure_named
from learning.trainers.request import Recipe
from learning.trainers.train import GRAPH, fit, require_parity, train
from shared.errors import TrainingFailed
from shared.tasks import OUTLIER, Task, TaskKind, answer_function
from shared.usecase.learning import CHOSEN
from tests.learning.trainers.rows import COLUMNS, TASKS, request_for, strange_rows


def silent(_what: str, _share: float) -> None: ...


@pytest.mark.parametrize("kind", list(TASKS))
def test_the_graph_scores_unseen_words_and_extreme_values_as_the_model_does(kind: TaskKind) -> None:
    request = request_for(kind)
    fitted = fit(request, request.recipes[0], slice(None))
    rows = strange_rows()
    native = fitted.predict(rows).reshape(len(rows), -1)
    graph = run_graph(to_onnx([fitted], len(COLUMNS), request.task.width), rows)
    assert np.abs(graph - native).max() <= 1e-5 * max(1.0, np.abs(native).max())


@pytest.mark.parametrize("kind", list(TASKS))
@pytest.mark.parametrize("outlier", [False, True])
def test_a_candidate_has_the_outputs_of_its_task(kind: TaskKind, outlier: bool) -> None:
    request = request_for(kind, outlier=outlier)
    candidate = train(request, silent)
    scores = run_graph(candidate.files[GRAPH], request.matrix[:50])
    assert scores.shape == (50, len(candidate.components))
    assert (candidate.components[-1] == OUTLIER) is outlier
    answered = answer_function(request.task, candidate.components, candidate.thresholds)
    assert set(answered(scores[0].tolist())) >= {"prediction"}


def test_a_frequent_word_an_unseen_one_and_a_missing_one_are_three_things() -> None:
    request = request_for(TaskKind.REGRESSION)
    fitted = fit(request, request.recipes[0], slice(None))
    rows = np.tile(request.matrix[:1], (3, 1))
    rows[:, 1] = [max(set(request.matrix[:, 1]), key=list(request.matrix[:, 1]).count), 7.0, np.nan]
    assert len(np.unique(fitted.predict(rows))) == 3


def test_a_class_without_training_rows_is_answered_with_probability_zero() -> None:
    request = request_for(TaskKind.MULTICLASS)
    two = replace(request, labels=2.0 * (request.labels > 0))
    for asked in (request, two):
        candidate = train(asked, silent)
        shares = run_graph(candidate.files[GRAPH], asked.matrix[:100])
        assert (shares[:, 3] == 0.0).all()
        assert shares.sum(axis=1) == pytest.approx(1.0, abs=1e-6)


def test_training_again_makes_the_same_graph() -> None:
    request = request_for(TaskKind.BINARY, outlier=True)
    assert train(request, silent).files == train(request, silent).files


def test_the_recipe_that_is_best_on_newer_rows_wins() -> None:
    weak = Recipe(settings={"iterations": 1})
    strong = Recipe(settings={"iterations": 40})
    request = replace(request_for(TaskKind.BINARY), recipes=(weak, strong))
    told = train(request, silent).hyperparameters[CHOSEN]
    assert told["iterations"] == 40
    assert told["candidate"] == strong.title
    values = told["validation"]
    measure = request.measure_name
    assert values[strong.title][measure] > values[weak.title][measure]


def test_folds_are_measured_for_the_report_and_change_nothing_else() -> None:
    request = request_for(TaskKind.REGRESSION, rows=900)
    plain, folded = (train(replace(request, folds=folds), silent) for folds in (0, 3))
    values = folded.hyperparameters[CHOSEN]["folds"]
    assert len(values) == 3
    assert all(value > 0 for value in values)
    assert plain.files == folded.files


def test_what_a_run_finds_out_is_no_part_of_its_recipe() -> None:
    def recipe_of(*recipes: Recipe, rows: int) -> dict[str, Any]:
        request = replace(request_for(TaskKind.BINARY, rows=rows), recipes=recipes)
        found = train(request, silent).hyperparameters
        return {name: value for name, value in found.items() if name != CHOSEN}

    one, other = Recipe(settings={"iterations": 3}), Recipe(settings={"iterations": 9})
    assert recipe_of(one, rows=800) == recipe_of(one, rows=1_200)
    assert recipe_of(one, other, rows=800) == recipe_of(one, other, rows=1_200)
    assert recipe_of(one, rows=800) != recipe_of(other, rows=800)
    assert recipe_of(one, other, rows=800) != recipe_of(one, rows=800)


def test_a_recipe_that_fails_leaves_the_others_in_the_race() -> None:
    broken = Recipe(model="nowhere:nothing")
    request = replace(request_for(TaskKind.BINARY), recipes=(broken, Recipe()))
    assert train(request, silent).hyperparameters[CHOSEN]["model"] == "gradient_boosting"
    with pytest.raises(TrainingFailed, match=r"'nowhere:nothing' cannot be loaded"):
        train(replace(request, recipes=(broken,)), silent)


@pytest.mark.parametrize("loss", ["absolute_error", "poisson", "quantile"])
def test_a_regression_may_have_another_loss(loss: str) -> None:
    request = request_for(TaskKind.REGRESSION)
    settings = {"loss": loss, "iterations": 20, "quantile": 0.9}
    recipe = Recipe(settings=settings)
    scores = run_graph(
        train(replace(request, recipes=(recipe,)), silent).files[GRAPH], request.matrix
    )
    below = float((request.labels < scores[:, 0]).mean())
    assert below > 0.8 if loss == "quantile" else 0.3 < below < 0.7


def test_a_model_that_learned_beats_one_that_did_not() -> None:
    request = request_for(TaskKind.REGRESSION)
    scores = run_graph(train(request, silent).files[GRAPH], request.matrix)[:, 0]
    assert measure_named("r2").of(scores.astype(float), request.labels).value > 0.5


def test_what_cannot_be_learned_from_is_refused_by_name() -> None:
    request = request_for(TaskKind.BINARY)
    infinite, empty = request.matrix.copy(), request.matrix.copy()
    infinite[3, 3], empty[:, 0] = np.inf, np.nan
    for wrong, said in (
        (replace(request, matrix=infinite), "income is infinite"),
        (replace(request, matrix=empty), "age has no value"),
        (replace(request, labels=np.ones(len(request.labels))), "all 2000 rows are 'yes'"),
        (replace(request, labels=request.labels + 1), "not positions of"),
        (replace(request, labels=request.labels[:-1]), "1999 labels"),
        (replace(request, recipes=(Recipe(settings={"depth": 3}),)), "no setting 'depth'"),
        (replace(request, recipes=(Recipe(settings={"loss": "huber"}),)), "loss 'huber'"),
    ):
        with pytest.raises(TrainingFailed, match=said):
            train(wrong, silent)
    with pytest.raises(ValueError, match="unknown metric"):
        train(replace(request, measure="f2"), silent)
    words = tuple(replace(column, is_category=True) for column in COLUMNS)
    with pytest.raises(TrainingFailed, match="no number column"):
        train(replace(request, columns=words, outlier=True), silent)


def test_a_graph_of_another_model_is_refused_with_the_rows_that_differ() -> None:
    request = request_for(TaskKind.BINARY)
    fitted = fit(request, request.recipes[0], slice(None))
    other = fit(request, Recipe(settings={"iterations": 3}), slice(None))
    graph = to_onnx([other], len(COLUMNS), 1)
    with pytest.raises(TrainingFailed, match=r"of 1000 rows score differently.*Boosting"):
        require_parity(request, fitted, None, graph)


def test_labels_of_one_class_in_a_task_of_two_say_which() -> None:
    request = request_for(TaskKind.BINARY)
    with pytest.raises(TrainingFailed, match="'0'"):
        train(replace(request, task=Task.binary(), labels=np.zeros(len(request.labels))), silent)


def test_a_fold_without_which_nothing_can_be_learned_is_left_open() -> None:
    request = request_for(TaskKind.BINARY)
    labels = request.labels.copy()
    labels[len(labels) // 2 :] = 0
    made = train(replace(request, labels=labels, folds=2), silent)
    first, second = made.hyperparameters[CHOSEN]["folds"]
    assert first is None
    assert second is None or second >= 0
