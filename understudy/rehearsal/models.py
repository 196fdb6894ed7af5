"""Good and bad versions: graphs whose fault begins in service.

All of them pass the smoke test, as the faults that reach production do.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.bundle.archive import pack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from usecases.fraud.features.catalogue import FEATURE_SET

COMPONENTS = ("classifier", "isolation_forest", "autoencoder")
GOOD, BLOCKING = 0.125, 0.99
# The amount of rows that the failing version fails on.
FAILING_AMOUNT = 150.0
_FROM, _BELOW = 140.0, 160.0
_SIDE = 700
Tensors = dict[str, Any]


def good(version: str) -> bytes:
    """Approves everything, in no time."""
    return _bundle(version, GOOD, [], {})


def blocking(version: str) -> bytes:
    """Blocks everything."""
    return _bundle(version, BLOCKING, [], {})


def failing(version: str) -> bytes:
    """Answers NaN for rows of one amount."""
    column = FEATURE_SET.names.index("amount")
    nodes = [
        helper.make_node("Gather", ["known", "column"], ["amount"], axis=1),
        helper.make_node("Greater", ["amount", "from"], ["is_more"]),
        helper.make_node("Less", ["amount", "below"], ["is_less"]),
        helper.make_node("And", ["is_more", "is_less"], ["is_bad"]),
        helper.make_node("Where", ["is_bad", "nan", "zero"], ["fault"]),
    ]
    tensors = {
        "column": np.array([column], np.int64),
        "from": np.array(_FROM, np.float32),
        "below": np.array(_BELOW, np.float32),
        "nan": np.array(np.nan, np.float32),
    }
    return _bundle(version, GOOD, nodes, tensors)


def slow(version: str, products: int) -> bytes:
    """Multiplies large matrices for every row, and adds nothing to its scores."""
    nodes = [
        helper.make_node("ReduceSum", ["known", "axis"], ["sum"], keepdims=1),
        helper.make_node("Unsqueeze", ["sum", "axis"], ["cube"]),
        helper.make_node("Mul", ["cube", "weights_a"], ["product_0"]),
    ]
    for number in range(products):
        names = [f"product_{number}", "weights_a"], [f"product_{number + 1}"]
        nodes.append(helper.make_node("MatMul", *names))
    nodes += [
        helper.make_node("ReduceMean", [f"product_{products}"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nought"]),
        helper.make_node("Unsqueeze", ["nought", "axis"], ["fault"]),
    ]
    # Small enough that a product of any length does not overflow.
    weights = np.full((_SIDE, _SIDE), 1e-6, dtype=np.float32)
    return _bundle(version, GOOD, nodes, {"axis": np.array([1], np.int64), "weights_a": weights})


def _bundle(version: str, score: float, nodes: list[Any], tensors: Tensors) -> bytes:
    features, components = len(FEATURE_SET.names), len(COMPONENTS)
    constants: Tensors = {
        "weights": np.zeros((features, components), dtype=np.float32),
        "constant": np.full(components, score, dtype=np.float32),
        "zero": np.array(0, np.float32),
        **tensors,
    }
    last = "constant_scores" if nodes else "scores"
    chain = [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "features"], ["known"]),
        *nodes,
        helper.make_node("MatMul", ["known", "weights"], ["nothing"]),
        helper.make_node("Add", ["nothing", "constant"], [last]),
    ]
    if nodes:
        chain.append(helper.make_node("Add", [last, "fault"], ["scores"]))
    graph = helper.make_graph(
        chain,
        "rollback",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, components])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return pack(manifest(version), {"model.onnx": model.SerializeToString()})


def manifest(version: str) -> Manifest:
    """The manifest of every bundle here; constants need no training rows."""
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
