"""ONNX graphs out of pieces: each component adds nodes, and ends in one (rows, 1) tensor."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from shared.errors import TrainingFailed
from usecases.fraud.training.trees import ML_DOMAIN

INPUT, OUTPUT = "features", "scores"
# Pinned to what every onnxruntime of the last years runs.
OPSETS = (("", 17), (ML_DOMAIN, 3))
IR_VERSION = 8


class Builder:
    """Collects the nodes and constants of one graph under a component's prefix."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Append one node of the default domain; returns the name of its output."""
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, value: object, dtype: type[np.generic] = np.float32) -> str:
        """Append one constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name


class Exportable(Protocol):
    """A fitted component that can write itself into a graph."""

    def export(self, builder: Builder) -> str:
        """Add nodes that read `features`; returns the name of the (rows, 1) output."""
        ...


def to_onnx(parts: Sequence[Exportable], feature_count: int) -> bytes:
    """One graph, `features` -> `scores` with one column for each part.

    Raises:
        TrainingFailed: the graph does not pass ONNX's own checker.
    """
    builder = Builder()
    columns = [part.export(builder) for part in parts]
    if len(columns) == 1:
        builder.add("Identity", columns, OUTPUT)
    else:
        builder.add("Concat", columns, OUTPUT, axis=1)
    model = _model(builder, feature_count, len(parts))
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise TrainingFailed(f"export: the graph is not valid: {error}") from error
    raw: bytes = model.SerializeToString(deterministic=True)
    return raw


def _model(builder: Builder, feature_count: int, score_count: int) -> ModelProto:
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        builder.nodes,
        "understudy",
        [tensor(INPUT, TensorProto.FLOAT, ["rows", feature_count])],
        [tensor(OUTPUT, TensorProto.FLOAT, ["rows", score_count])],
        builder.constants,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS],
        ir_version=IR_VERSION,
        producer_name="understudy",
    )
