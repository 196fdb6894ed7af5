"""A bundle that loads in no time and answers a constant, for benchmarks of everything else."""

from datetime import UTC, datetime

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.bundle.archive import pack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from usecases.fraud.features.catalogue import FEATURE_SET

SCORE = 0.125
COMPONENTS = ("classifier", "isolation_forest", "autoencoder")


def bundle(version: str) -> bytes:
    """A bundle whose every score is SCORE."""
    features, components = len(FEATURE_SET.names), len(COMPONENTS)
    constants = {
        "weights": np.zeros((features, components), dtype=np.float32),
        "constant": np.full(components, SCORE, dtype=np.float32),
        "zero": np.array(0, np.float32),
    }
    nodes = [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["nothing"]),
        helper.make_node("Add", ["nothing", "constant"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, components])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return pack(manifest(version), {"model.onnx": model.SerializeToString()})


def manifest(version: str) -> Manifest:
    """The manifest of every bundle here."""
    moment = datetime.now(UTC)
    inputs, outputs = served_signature(len(FEATURE_SET.names), len(COMPONENTS))
    return Manifest(
        model_name="constant",
        version=version,
        created_at=moment,
        use_case="fraud",
        frameworks={},
        python_version="3.11",
        components=COMPONENTS,
        feature_names=FEATURE_SET.names,
        feature_set_version=FEATURE_SET.version,
        inputs=inputs,
        outputs=outputs,
        thresholds={},
        hyperparameters={},
        metrics={},
        training_data=TrainingData(
            rows=0, positives=0, window_start=moment, window_end=moment, sha256="0" * 64
        ),
        description="answers a constant",
    )
