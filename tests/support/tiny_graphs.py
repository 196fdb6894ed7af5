"""ONNX graphs of a few nodes."""

import numpy as np
import onnx
from onnx import TensorProto, helper


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
