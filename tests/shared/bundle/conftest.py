from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from shared.bundle.manifest import Manifest, TrainingData, served_signature

FEATURES = ("amount", "hour")
COMPONENTS = ("classifier", "isolation_forest")


def tiny_graph() -> bytes:
    """A real graph: two scores, each a weighted sum of the two features."""
    weights = np.array([[0.5, 0.1], [0.25, 0.2]], dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["scores"])],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    raw: bytes = model.SerializeToString()
    return raw


@pytest.fixture
def manifest() -> Manifest:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    inputs, outputs = served_signature(len(FEATURES), len(COMPONENTS))
    return Manifest(
        model_name="tiny",
        version="1.0.0",
        created_at=moment,
        use_case="tiny",
        frameworks={"onnx": onnx.__version__},
        python_version="3.11.7",
        components=COMPONENTS,
        feature_names=FEATURES,
        feature_set_version="1",
        inputs=inputs,
        outputs=outputs,
        thresholds={"review": 0.5},
        hyperparameters={},
        metrics={"roc_auc": 0.9},
        training_data=TrainingData(
            rows=10, positives=1, window_start=moment, window_end=moment, sha256="0" * 64
        ),
        description="two weighted sums",
    )


@pytest.fixture
def files() -> Mapping[str, bytes]:
    return {"model.onnx": tiny_graph(), "baseline.json": b"{}", "card.md": b"# tiny\n"}
