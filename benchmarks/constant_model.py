"""A bundle that loads in no time and answers a constant, for benchmarks of everything else."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.bundle.archive import pack
from understudy.rehearsal.models import COMPONENTS, manifest
from usecases.fraud.features.catalogue import FEATURE_SET

SCORE = 0.125
_NO_WEIGHTS: Mapping[str, float] = {}


def bundle(version: str, weights: Mapping[str, float] = _NO_WEIGHTS) -> bytes:
    """A bundle whose every score is SCORE, plus these weights times their features."""
    features, components = len(FEATURE_SET.names), len(COMPONENTS)
    constants = {
        "weights": np.zeros((features, components), dtype=np.float32),
        "constant": np.full(components, SCORE, dtype=np.float32),
        "zero": np.array(0, np.float32),
    }
    for name, weight in weights.items():
        constants["weights"][FEATURE_SET.names.index(name), :] = weight
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
