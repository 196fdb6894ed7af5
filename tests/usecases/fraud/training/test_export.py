"""The graph that is served says what the fitted models say."""

import numpy as np
import onnx
import pytest

from learning.export.graph import OPSETS
from learning.export.parity import TOLERANCE, Parity, require, run_graph
from learning.export.trees import SummedTrees, thresholds
from shared.errors import TrainingFailed
from shared.usecase.serving import FloatMatrix
from tests.usecases.fraud.training.examples import Trained
from usecases.fraud.training.candidate import parity_of

GRAPHS = ("classifier", "isolation_forest", "autoencoder")


def graph_of(trained: Trained, path: str = "model.onnx") -> onnx.ModelProto:
    return onnx.load_from_string(trained.candidate.files[path])


def all_targets(trained: Trained) -> tuple[SummedTrees, ...]:
    return (*trained.fitted.classifier.targets(), *trained.fitted.isolation_forest.targets())


def test_the_fused_graph_agrees_with_the_native_models_on_fresh_rows(
    trained: Trained, fresh_rows: FloatMatrix
) -> None:
    parity = parity_of(trained.fitted, trained.candidate.files["model.onnx"], fresh_rows)
    assert parity.rows == len(fresh_rows)
    assert parity.differing_rows == 0
    assert parity.largest_difference <= TOLERANCE


def test_rows_on_a_split_are_counted_and_still_agree(
    trained: Trained, fresh_rows: FloatMatrix
) -> None:
    rows = np.nan_to_num(fresh_rows[:500])
    for feature, values in thresholds(all_targets(trained)).items():
        rows[:, feature] = np.resize(values, len(rows))
    parity = parity_of(trained.fitted, trained.candidate.files["model.onnx"], rows)
    assert parity.rows_on_a_split == len(rows)
    assert parity.differing_rows_on_a_split == parity.differing_rows == 0


def test_rows_on_no_split_are_not_counted(trained: Trained) -> None:
    rows = np.full((3, len(trained.ask.feature_names)), np.nan, dtype=np.float32)
    parity = parity_of(trained.fitted, trained.candidate.files["model.onnx"], rows)
    assert parity.rows_on_a_split == 0


def test_a_graph_that_disagrees_off_the_splits_is_refused() -> None:
    with pytest.raises(TrainingFailed, match="2 of 10 rows"):
        require(Parity(10, 0.3, 5, differing_rows=4, differing_rows_on_a_split=2))


def test_rows_that_disagree_on_a_split_are_only_reported() -> None:
    require(Parity(10, 0.3, 5, differing_rows=4, differing_rows_on_a_split=4))


@pytest.mark.parametrize("position", range(3))
def test_each_component_graph_is_a_column_of_the_fused_one(
    trained: Trained, fresh_rows: FloatMatrix, position: int
) -> None:
    files = trained.candidate.files
    fused = run_graph(files["model.onnx"], fresh_rows)
    alone = run_graph(files[f"{GRAPHS[position]}/model.onnx"], fresh_rows)
    assert fused.shape == (len(fresh_rows), 3)
    np.testing.assert_array_equal(fused[:, position], alone[:, 0])


def test_every_score_of_every_row_is_finite(trained: Trained, fresh_rows: FloatMatrix) -> None:
    scores = run_graph(trained.candidate.files["model.onnx"], fresh_rows)
    assert np.isfinite(scores).all()
    assert ((scores[:, :2] >= 0) & (scores[:, :2] <= 1)).all()
    assert (scores[:, 2] >= 0).all()


def test_the_autoencoder_fills_in_what_is_unknown(trained: Trained) -> None:
    autoencoder = trained.fitted.autoencoder
    unknown = np.full((1, len(trained.ask.feature_names)), np.nan, dtype=np.float32)
    usual = unknown.copy()
    usual[:, autoencoder.columns] = autoencoder.fill
    graph = trained.candidate.files["autoencoder/model.onnx"]
    np.testing.assert_array_equal(run_graph(graph, unknown), run_graph(graph, usual))


def test_the_isolation_forest_is_one_tree_node(trained: Trained) -> None:
    nodes = [node.op_type for node in graph_of(trained, "isolation_forest/model.onnx").graph.node]
    assert nodes.count("TreeEnsembleRegressor") == 1
    assert set(nodes) == {"TreeEnsembleRegressor", "Pow", "Identity"}


@pytest.mark.parametrize("path", ["model.onnx", *(f"{name}/model.onnx" for name in GRAPHS)])
def test_graphs_are_self_contained_and_pinned(trained: Trained, path: str) -> None:
    model = graph_of(trained, path)
    onnx.checker.check_model(model, full_check=True)
    assert {(entry.domain, entry.version) for entry in model.opset_import} == set(OPSETS)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx.ml"}
    assert not model.functions
    assert all(not tensor.external_data for tensor in model.graph.initializer)


def test_the_signature_is_the_one_the_bundle_declares(trained: Trained) -> None:
    (given,), (made,) = (graph_of(trained).graph.input, graph_of(trained).graph.output)
    assert (given.name, made.name) == ("features", "scores")
    width = given.type.tensor_type.shape.dim[1].dim_value
    assert width == len(trained.ask.feature_names)
    assert made.type.tensor_type.shape.dim[1].dim_value == len(trained.candidate.components)
