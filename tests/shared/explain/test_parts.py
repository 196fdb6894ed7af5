"""The parts of a graph: exact, additive, and honest about what they leave out."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.export.graph import to_onnx
from learning.export.parity import run_graph
from shared.explain import NotExplainable, read_parts
from shared.explain.ensemble import Ensemble, read_ensemble
from shared.explain.one_row import add_contributions, exits, refuse_strange_places
from shared.explain.parts import LOG2, LOG_ODDS, VALUE
from shared.scoring.session import GRAPH
from shared.tasks import TaskKind
from shared.usecase.learning import Candidate
from tests.learning.trainers.rows import TASKS, matrix_of, strange_rows
from tests.support.explained_trees import KINDS, explainer_of, exported_of, request_of
from tests.usecases.fraud.training.examples import QUICK, silent, worded_rows
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.candidate import FraudTrainingRequest, train_candidate
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.recipe import COMPONENTS


@cache
def fraud() -> tuple[Candidate, np.ndarray]:
    matrix, labels = worded_rows(3_000, seed=1)
    asked = FraudTrainingRequest(
        matrix=matrix,
        labels=labels,
        feature_names=FEATURE_SET.names,
        feature_set_version=FEATURE_SET.version,
        thresholds=read_policy().thresholds,
        seed=0,
        recipe=QUICK,
    )
    return train_candidate(asked, silent), matrix


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_what_the_parts_of_the_shipped_ensemble_add_makes_every_tree_score(seed: int) -> None:
    candidate, matrix = fraud()
    found = read_parts(candidate.files[GRAPH], candidate.feature_names, COMPONENTS)
    row = np.ascontiguousarray(matrix[seed % len(matrix)])
    scores = dict(zip(COMPONENTS, run_graph(candidate.files[GRAPH], row[None, :])[0], strict=True))
    added = dict.fromkeys(COMPONENTS, 0.0)
    for part in found.parts:
        told = part.explained(row)
        assert sum(told.contributions.values()) + told.expected == pytest.approx(told.raw)
        added[part.components[0]] += told.adds or 0.0
    for name in ("classifier", "isolation_forest"):
        assert added[name] == pytest.approx(float(scores[name]), abs=1e-5)
    assert added["autoencoder"] == 0.0


def test_the_shipped_ensemble_has_three_parts_and_says_what_is_none() -> None:
    candidate, _ = fraud()
    found = read_parts(candidate.files[GRAPH], candidate.feature_names, COMPONENTS)
    assert [(part.components, part.scale) for part in found.parts] == [
        (("classifier",), VALUE),
        (("classifier",), LOG_ODDS),
        (("isolation_forest",), LOG2),
    ]
    assert found.unexplained == {"autoencoder": "it is not made of trees"}
    # a word is one reason, whatever the graph makes of it
    assert set(found.parts[0].explained(fraud()[1][0]).contributions) == set(
        candidate.feature_names
    )


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10_000))
def test_one_row_without_tables_gets_the_contributions_it_gets_with_them(
    kind: TaskKind, seed: int
) -> None:
    explainer = explainer_of(kind)
    names = request_of(kind).names
    graph = exported_of(kind)
    task = TASKS[kind]
    [part] = read_parts(graph, names, [f"c{at}" for at in range(task.width)]).parts
    for row in np.concatenate([matrix_of(2, seed), strange_rows()[seed % 400 :][:2]]):
        for target in range(len(explainer.expected)):
            told = part.explained(np.ascontiguousarray(row), target)
            wanted = explainer.contributions(np.ascontiguousarray(row), target)
            by_name: dict[str, float] = {}
            for name, contribution in zip(names, wanted.tolist(), strict=True):
                by_name[name] = by_name.get(name, 0.0) + contribution
            assert told.contributions == pytest.approx(by_name, abs=1e-9)
            assert told.expected == pytest.approx(float(explainer.expected[target]), abs=1e-9)


def test_a_graph_without_rows_of_its_nodes_says_so_for_each_component() -> None:
    candidate, _ = fraud()
    graph = candidate.files[GRAPH].replace(b"nodes_hitrates", b"nodes_hitrated")
    found = read_parts(graph, candidate.feature_names, COMPONENTS)
    assert found.parts == ()
    assert set(found.unexplained) == set(COMPONENTS)
    assert "how many rows" in found.unexplained["classifier"]


def tree() -> Ensemble:
    return read_ensemble(exported_of(KINDS[0]))


def test_nodes_that_lead_out_of_the_trees_are_refused_before_compiled_code_follows_them() -> None:
    good = tree()
    for name, value in (("left", 10**6), ("right", -1), ("feature", 99)):
        places = getattr(good.nodes, name).copy()
        places[np.flatnonzero(~good.nodes.is_leaf)[0]] = value
        bad = replace(good, nodes=good.nodes._replace(**{name: places}))
        with pytest.raises(NotExplainable, match="leads out"):
            refuse_strange_places(bad, 20)


def test_nodes_that_lead_in_circles_are_given_up() -> None:
    good = tree()
    left = good.nodes.left.copy()
    left[0] = 0
    bad = replace(good, nodes=good.nodes._replace(left=left))
    with pytest.raises(NotExplainable, match="too deep"):
        add_contributions(
            bad, exits(bad.nodes), np.array([0]), np.zeros(20, np.float32), np.zeros(20)
        )


def test_a_graph_of_no_trees_is_no_error() -> None:
    class Sum:
        def export(self, builder: object) -> str:
            return builder.add("ReduceSum", ["features"], "sum", keepdims=1)  # type: ignore[attr-defined,no-any-return]

    found = read_parts(to_onnx([Sum()], 3), ("a", "b", "c"), ("only",))
    assert (found.parts, found.unexplained) == ((), {"only": "it is not made of trees"})
