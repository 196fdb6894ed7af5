"""A row's scores are the same to the last bit, whatever rows are scored beside it."""

from functools import cache

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bundle.archive import pack, unpack
from shared.scoring.session import BOUND_ROWS, OnnxModel
from shared.usecase.serving import FloatMatrix
from tests.api.bundles import manifest
from tests.usecases.fraud.training.examples import Trained, example_rows
from usecases.fraud.training.recipe import COMPONENTS

TELLING = 200


@cache
def rows_to_score() -> FloatMatrix:
    """Rows with unknown values, and one that knows nothing at all."""
    matrix, _ = example_rows(TELLING, seed=41)
    matrix[np.random.default_rng(3).random(matrix.shape) < 0.05] = np.nan
    matrix[0] = np.nan
    matrix[1] = 1e9
    return matrix


@pytest.fixture(scope="module")
def model(trained: Trained) -> OnnxModel:
    said = manifest("1.0.0", feature_names=trained.candidate.feature_names, components=COMPONENTS)
    return OnnxModel.load(unpack(pack(said, dict(trained.candidate.files))))


@pytest.fixture(scope="module")
def alone(model: OnnxModel) -> FloatMatrix:
    rows = rows_to_score()
    return np.vstack([model.score(rows[at : at + 1]) for at in range(len(rows))])


def same_bits(left: FloatMatrix, right: FloatMatrix) -> bool:
    return left.tobytes() == right.tobytes()


@settings(deadline=None)
@given(chosen=st.lists(st.integers(0, TELLING - 1), min_size=1, max_size=4 * BOUND_ROWS))
def test_a_row_scores_the_same_in_any_company(
    model: OnnxModel, alone: FloatMatrix, chosen: list[int]
) -> None:
    assert same_bits(model.score(rows_to_score()[chosen]), alone[chosen])


@pytest.mark.parametrize("rows", range(1, BOUND_ROWS + 2))
def test_a_row_scores_the_same_in_a_batch_of_every_size(
    model: OnnxModel, alone: FloatMatrix, rows: int
) -> None:
    assert same_bits(model.score(rows_to_score()[:rows]), alone[:rows])


def test_the_runtime_itself_scores_a_row_the_same_in_any_batch(
    trained: Trained, alone: FloatMatrix, model: OnnxModel
) -> None:
    # who scores without OnnxModel, in one piece, is not told otherwise
    whole = model._session.run(None, {"features": rows_to_score()})[0]
    assert same_bits(whole, alone)


def test_no_part_of_the_graph_adds_up_a_row_by_where_it_lies(trained: Trained) -> None:
    graph = onnx.load_from_string(trained.candidate.files["model.onnx"]).graph
    assert not [node.op_type for node in graph.node if node.op_type.startswith("Reduce")]
