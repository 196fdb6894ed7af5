from collections.abc import Mapping

import numpy as np
import pytest

from shared.bundle.archive import pack, unpack
from shared.bundle.manifest import Manifest
from shared.errors import ModelLoadError
from shared.scoring.session import OnnxModel


def test_a_bundle_scores_as_its_graph_says(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    model = OnnxModel.load(unpack(pack(manifest, files)))
    scores = model.score(np.array([[2.0, 4.0]], dtype=np.float32))
    np.testing.assert_allclose(scores, [[2.0, 1.0]])
    assert scores.dtype == np.float32


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
