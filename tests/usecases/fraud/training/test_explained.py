"""Why fraud answers what it answers: contributions add up to the served score, words among them."""

import numpy as np
import pytest

from learning.export.parity import run_graph
from shared.explain import NotExplainable, explainer_of
from shared.explain.explainer import BlendExplainer
from shared.usecase.serving import FloatMatrix
from tests.usecases.fraud.training.examples import (
    CATEGORY,
    NEVER,
    RISKY,
    USUAL,
    explained_graph,
    with_category,
    worded_rows,
)
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.recipe import COMPONENTS


def rows() -> FloatMatrix:
    fresh = worded_rows(60, seed=9)[0]
    strange = fresh[:20].copy()
    strange[:, ::3] = np.nan
    return np.vstack([fresh, with_category(fresh[:10], NEVER), strange])


@pytest.mark.parametrize("share", [0.6, 0.0])
def test_the_expected_score_and_all_contributions_make_the_served_score(share: float) -> None:
    explainer = explainer_of(explained_graph(share), FEATURE_SET.names, COMPONENTS)
    served = run_graph(explained_graph(share), rows())[:, 0]
    raw = np.array([explainer.contributions(row).sum() for row in rows()]) + explainer.expected[0]
    made = raw if share else 1 / (1 + np.exp(-raw))
    assert made == pytest.approx(served, abs=2e-6)


@pytest.mark.parametrize("share", [0.6, 0.0])
def test_a_risky_word_is_told_for_the_feature_that_it_stands_in(share: float) -> None:
    explainer = explainer_of(explained_graph(share), FEATURE_SET.names, COMPONENTS)
    assert isinstance(explainer, BlendExplainer)
    base = worded_rows(20, seed=4)[0]
    for code, sign in ((RISKY, 1), (USUAL, -1)):
        for row in with_category(base, code):
            assert explainer.contributions(row)[CATEGORY] * sign > 0


def test_a_graph_of_another_form_is_not_explained() -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415

    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["features", "features"], ["sum"]),
            helper.make_node("Identity", ["sum"], ["scores"]),
        ],
        "g",
        [tensor("features", TensorProto.FLOAT, ["rows", 1])],
        [tensor("scores", TensorProto.FLOAT, ["rows", 1])],
    )
    raw = helper.make_model(graph).SerializeToString()
    with pytest.raises(NotExplainable, match="not made of trees"):
        BlendExplainer.of(raw, ["amount"], ["score"])
