"""ONNX graphs out of pieces: each component adds nodes, and ends in one tensor of its scores."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from learning.export.trees import ML_DOMAIN
from shared.errors import TrainingFailed

INPUT, OUTPUT = "features", "scores"
# Opset versions that every onnxruntime of recent years supports.
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

    def add_ml(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append one node of the domain for machine learning; returns the name of its output."""
        node = helper.make_node(operator, list(inputs), [output], domain=ML_DOMAIN, **attributes)
        self.nodes.append(node)
        return output

    def text(self, name: str, value: str) -> str:
        """Append one constant text; returns its name."""
        tensor = helper.make_tensor(name, TensorProto.STRING, [1], [value.encode()])
        self.constants.append(tensor)
        return name

    def constant(self, name: str, value: object, dtype: type[np.generic] = np.float32) -> str:
        """Append one constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def inline(self, model: ModelProto, prefix: str, inputs: Mapping[str, str]) -> None:
        """Append another graph; its names get a prefix, its inputs are tensors of this one.

        Raises:
            TrainingFailed: it needs newer operators than this graph may have.
        """
        allowed = dict(OPSETS)
        for used in model.opset_import:
            domain = "" if used.domain == "ai.onnx" else used.domain
            if used.version > allowed.get(domain, 0):
                raise TrainingFailed(f"export: operators of {domain or 'ai.onnx'} {used.version}")
        for tensor in model.graph.initializer:
            self.constants.append(_renamed(tensor, prefix))
        for node in model.graph.node:
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.name = ""
            copy.input[:] = [inputs.get(name, f"{prefix}{name}" if name else "")
                             for name in node.input]  # fmt: skip
            copy.output[:] = [f"{prefix}{name}" if name else "" for name in node.output]
            self.nodes.append(copy)


def _renamed(tensor: TensorProto, prefix: str) -> TensorProto:
    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.name = prefix + tensor.name
    return copy


class Exportable(Protocol):
    """A fitted component that can write itself into a graph."""

    def export(self, builder: Builder) -> str:
        """Add nodes that read `features`; returns the name of the (rows, scores) output."""
        ...


def to_onnx(
    parts: Sequence[Exportable], feature_count: int, score_count: int | None = None
) -> bytes:
    """One graph, `features` -> `scores`; a part has one column where `score_count` is not given.

    Raises:
        TrainingFailed: the graph does not pass ONNX's own checker.
    """
    builder = Builder()
    columns = [part.export(builder) for part in parts]
    if len(columns) == 1:
        builder.add("Identity", columns, OUTPUT)
    else:
        builder.add("Concat", columns, OUTPUT, axis=1)
    model = _model(builder, feature_count, len(parts) if score_count is None else score_count)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
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
