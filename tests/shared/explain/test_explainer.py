"""Contributions: they add up, agree with shap, and are Shapley values by their definition."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.trainers.isolation_forest import DefaultForest, fit_isolation_forest
from learning.trainers.train import export
from shared.explain import Explainer, NotExplainable, tree_shap
from shared.explain import explainer_of as explainer_of_graph
from shared.explain.ensemble import Nodes, exits_of
from shared.explain.tree_shap import PathTable
from shared.tasks import TaskKind
from tests.learning.trainers.rows import COLUMNS, matrix_of, strange_rows
from tests.support.explained_trees import KINDS, Floats, explainer_of, fitted_of, request_of


def raw_scores(kind: TaskKind, rows: Floats) -> Floats:
    """Before the sigmoid or the softmax, from scikit-learn."""
    fitted = fitted_of(kind)
    coded = fitted.vocabulary.encode(rows)  # type: ignore[attr-defined]
    raw: Floats = fitted.estimator._raw_predict(coded)  # type: ignore[attr-defined]
    return raw


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10_000))
def test_contributions_add_up_to_the_raw_score(kind: TaskKind, seed: int) -> None:
    explainer = explainer_of(kind)
    rows = np.concatenate([matrix_of(5, seed), strange_rows()[seed % 400 :][:5]])
    raw = raw_scores(kind, rows)
    for target in range(raw.shape[1]):
        found = explainer.contributions_of(rows, target)
        sums = found.sum(axis=1) + explainer.expected[target]
        assert sums == pytest.approx(raw[:, target], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_shap_finds_the_same(kind: TaskKind) -> None:
    shap = pytest.importorskip("shap", reason="pip install -r requirements/dev.txt")
    explainer = explainer_of(kind, categories=False)
    estimator = fitted_of(kind, categories=False).estimator  # type: ignore[attr-defined]
    rows = matrix_of(40, seed=5)
    referee = shap.TreeExplainer(estimator, feature_perturbation="tree_path_dependent")
    wanted = np.asarray(referee.shap_values(rows.astype(np.float64), check_additivity=False))
    for target, expected in enumerate(np.ravel(referee.expected_value)):
        of_target = wanted[..., target] if wanted.ndim == 3 else wanted
        found = explainer.contributions_of(rows, target)
        assert found == pytest.approx(of_target, rel=1e-5, abs=1e-6)
        assert explainer.expected[target] == pytest.approx(float(expected), rel=1e-6)


def answer(nodes: Nodes, place: int, row: Floats) -> bool:
    value = row[nodes.feature[place]]
    if np.isnan(value):
        return bool(nodes.missing_left[place])
    if not nodes.is_equality[place]:
        return bool(value <= nodes.threshold[place])
    links = [place]
    while nodes.cover[nodes.right[links[-1]]] < 0:
        links.append(nodes.right[links[-1]])
    return bool(np.isin(value, nodes.threshold[links]))


def value_of(nodes: Nodes, place: int, row: Floats, known: frozenset[int]) -> float:
    """The expected value of a tree where only some features of the row are known."""
    if nodes.is_leaf[place]:
        return float(nodes.value[place])
    left, right = (int(to[place]) for to in exits_of(nodes))
    if int(nodes.feature[place]) in known:
        return value_of(nodes, left if answer(nodes, place, row) else right, row, known)
    parts = (
        value_of(nodes, to, row, known) * float(nodes.cover[to] / nodes.cover[place])
        for to in (left, right)
    )
    return sum(parts)


def by_definition(explainer: Explainer, row: Floats) -> Floats:
    """Shapley values over all subsets of features, by walking every tree."""
    count = len(explainer.names)
    subsets = [frozenset(s) for size in range(count + 1) for s in combinations(range(count), size)]
    roots = explainer.ensemble.roots[:4]
    nodes = explainer.ensemble.nodes
    worth = {
        known: sum(value_of(nodes, int(root), row, known) for root in roots) for known in subsets
    }
    found = np.zeros(count)
    for known in subsets[:-1]:
        weight = factorial(len(known)) * factorial(count - len(known) - 1) / factorial(count)
        for feature in set(range(count)) - known:
            found[feature] += weight * (worth[known | {feature}] - worth[known])
    return found


def test_with_categories_they_are_the_shapley_values_of_the_definition() -> None:
    explainer = explainer_of(TaskKind.BINARY)
    first_trees = explainer._tables[0]._replace(trees=np.arange(4))
    for row in np.concatenate([matrix_of(4, seed=3), strange_rows()[[0, 55, 75, 85]]]):
        found = np.zeros(len(COLUMNS))
        tree_shap.add_contributions(
            explainer.ensemble.nodes, explainer.paths, first_trees, row, found
        )
        assert found == pytest.approx(by_definition(explainer, row))


def test_leaves_that_are_not_in_the_table_contribute_the_same() -> None:
    explainer = explainer_of(TaskKind.REGRESSION)
    rows = matrix_of(20, seed=8)
    table = explainer._tables[0]
    nothing = PathTable(table.trees, np.full_like(table.at, -1), np.zeros(1))
    found = np.zeros((20, len(COLUMNS)))
    tree_shap.add_contributions_of_rows(
        explainer.ensemble.nodes, explainer.paths, nothing, rows, found
    )
    assert found == pytest.approx(explainer.contributions_of(rows))


def test_reasons_are_the_largest_contributions_with_the_values_they_are_about() -> None:
    explainer = explainer_of(TaskKind.BINARY)
    row = matrix_of(1, seed=2)[0]
    row[3] = np.nan
    reasons = explainer.reasons(row, 2)
    sizes = np.abs(explainer.contributions(row))
    assert [abs(reason.contribution) for reason in reasons] == sorted(sizes, reverse=True)[:2]
    everything = {reason.feature: reason.value for reason in explainer.reasons(row, 9)}
    assert everything.get("income") is None
    assert everything["age"] == float(row[0])


def test_the_global_picture_names_what_matters() -> None:
    importance = explainer_of(TaskKind.REGRESSION).importance(matrix_of(300, seed=1))
    assert list(importance)[-1] == "income"
    assert set(importance) == {column.name for column in COLUMNS}


def test_a_graph_without_such_trees_says_why_it_cannot_be_explained() -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415

    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["features"], ["scores"])], "g",
        [tensor("features", TensorProto.FLOAT, ["rows", 1])],
        [tensor("scores", TensorProto.FLOAT, ["rows", 1])],
    )  # fmt: skip
    raw = helper.make_model(graph).SerializeToString()
    with pytest.raises(NotExplainable, match="those of gradient_boosting"):
        Explainer.of(raw, ["amount"])


@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.MULTICLASS])
def test_an_outlier_score_beside_the_answers_leaves_their_explanation_as_it_was(
    kind: TaskKind,
) -> None:
    request = request_of(kind)
    numbers = request.numbers.tolist()
    forest = fit_isolation_forest(request.matrix, numbers, DefaultForest(), 0)
    graph = export(request, fitted_of(kind), forest)  # type: ignore[arg-type]
    components = (*request.task.outputs, "outlier")
    explainer = explainer_of_graph(graph, request.names, components)
    rows = matrix_of(5, seed=6)
    raw = raw_scores(kind, rows)
    for target in range(raw.shape[1]):
        sums = [explainer.contributions(row, target).sum() for row in rows]
        assert np.array(sums) + explainer.expected[target] == pytest.approx(
            raw[:, target], rel=1e-6, abs=1e-6
        )
