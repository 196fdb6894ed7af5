from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from shared.bundle.archive import pack, unpack
from shared.bundle.manifest import Manifest
from shared.errors import ModelLoadError
from shared.scoring.session import BOUND_ROWS, OnnxModel
from shared.usecase.serving import FloatMatrix


def test_a_bundle_scores_as_its_graph_says(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    model = OnnxModel.load(unpack(pack(manifest, files)))
    scores = model.score(np.array([[2.0, 4.0]], dtype=np.float32))
    np.testing.assert_allclose(scores, [[2.0, 1.0]])
    assert scores.dtype == np.float32


def numbered(rows: int) -> FloatMatrix:
    """Rows that tell their own number by their scores."""
    return np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)


WEIGHTS = np.array([[0.5, 0.1], [0.25, 0.2]], dtype=np.float32)


@pytest.mark.parametrize("rows", [0, 1, 2, BOUND_ROWS - 1, BOUND_ROWS, BOUND_ROWS + 1, 1_000])
def test_a_matrix_of_any_length_is_scored_in_its_order(
    manifest: Manifest, files: Mapping[str, bytes], rows: int
) -> None:
    model = OnnxModel.load(unpack(pack(manifest, files)))
    scores = model.score(numbered(rows))
    np.testing.assert_allclose(scores, numbered(rows) @ WEIGHTS, rtol=1e-5)
    assert scores.shape == (rows, 2)
    assert scores.dtype == np.float32


def test_scores_stay_what_they_were_when_others_are_scored(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    model = OnnxModel.load(unpack(pack(manifest, files)))
    first = model.score(numbered(3))
    kept = first.copy()
    model.score(numbered(7) + 100)
    np.testing.assert_array_equal(first, kept)


def test_threads_score_at_once_without_seeing_each_others_rows(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    model = OnnxModel.load(unpack(pack(manifest, files)))
    matrices = [numbered(1 + n % 5) + n for n in range(400)]
    with ThreadPoolExecutor(4) as pool:
        scored = list(pool.map(model.score, matrices))
    for matrix, scores in zip(matrices, scored, strict=True):
        np.testing.assert_allclose(scores, matrix @ WEIGHTS, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 1)])
def test_rows_of_another_width_are_refused(
    manifest: Manifest, files: Mapping[str, bytes], shape: tuple[int, int]
) -> None:
    model = OnnxModel.load(unpack(pack(manifest, files)))
    with pytest.raises(ValueError, match="rows of 2 features"):
        model.score(np.zeros(shape, dtype=np.float32))


def test_a_bundle_without_a_graph_does_not_load(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    without = {path: data for path, data in files.items() if path != "model.onnx"}
    with pytest.raises(ModelLoadError, match="no model"):
        OnnxModel.load(unpack(pack(manifest, without)))


def test_a_graph_of_an_operator_that_does_not_exist_does_not_load(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    unknown = files["model.onnx"].replace(b"MatMul", b"NatMul")
    with pytest.raises(ModelLoadError, match="does not load"):
        OnnxModel.load(unpack(pack(manifest, {**files, "model.onnx": unknown})))


def test_a_graph_for_other_features_than_the_manifest_names_does_not_load(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    other = manifest.model_copy(update={"feature_names": ("amount", "hour", "third")})
    with pytest.raises(ModelLoadError, match="does not score"):
        OnnxModel.load(unpack(pack(other, files)))


def test_a_graph_with_other_components_than_the_manifest_names_does_not_load(
    manifest: Manifest, files: Mapping[str, bytes]
) -> None:
    other = manifest.model_copy(update={"components": ("classifier",)})
    with pytest.raises(ModelLoadError, match="components"):
        OnnxModel.load(unpack(pack(other, files)))
