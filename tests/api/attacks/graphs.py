"""Graphs that want more than to compute, each around one that is as it should be."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper

from tests.api.bundles import graph

VERSION = "1.0.9"
# What a location has been in one advisory or another.
LOCATIONS: Mapping[str, str] = {
    "climbs out": "../../../../etc/passwd",
    "is absolute": "/etc/passwd",
    "is a link beside the model": "weights.bin",
    "is empty": "",
    "is an address in memory": "*/_ORT_MEM_ADDR_/*",
    "is a URL": "http://127.0.0.1:9/weights",
    "climbs by way of a folder": "a/../../../etc/shadow",
    "holds a backslash": "..\\..\\secret",
}


def pointing(location: str = "../weights.bin") -> TensorProto:
    """Two by two floats that are said to lie elsewhere."""
    tensor = TensorProto(name="elsewhere", data_type=TensorProto.FLOAT, dims=[2, 2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def changed(change: Callable[[ModelProto], object]) -> bytes:
    model = ModelProto.FromString(graph(VERSION))
    change(model)
    raw: bytes = model.SerializeToString()
    return raw


def _node(**attribute: Any) -> NodeProto:
    node = NodeProto(op_type="Identity", input=["features"], output=["aside"])
    node.attribute.append(AttributeProto(name="value", **attribute))
    return node


def _subgraph(depth: int = 1) -> Any:
    inner = helper.make_graph([], "inner", [], [], [pointing()])
    for _ in range(depth - 1):
        inner = helper.make_graph([_node(g=inner)], "inner", [], [])
    return inner


def _sparse(values: TensorProto, indices: TensorProto) -> Any:
    return helper.make_sparse_tensor(values, indices, [2, 2])


def _plain(name: str, kind: int = TensorProto.FLOAT) -> TensorProto:
    return TensorProto(name=name, data_type=kind, dims=[0])


def _function() -> Any:
    return helper.make_function(
        "local", "Hidden", ["x"], ["y"],
        [NodeProto(op_type="Identity", input=["x"], output=["y"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip


def _function_pointing(model: ModelProto) -> None:
    function = _function()
    function.node.append(_node(t=pointing()))
    model.functions.append(function)


def _training(model: ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(_subgraph())


def _sparse_initializer(model: ModelProto, values: TensorProto, indices: TensorProto) -> None:
    model.graph.sparse_initializer.append(_sparse(values, indices))


# Every place of the format in which a tensor can stand.
PLACES: Mapping[str, Callable[[ModelProto], object]] = {
    "an initializer": lambda m: m.graph.initializer.append(pointing()),
    "the values of a sparse initializer": lambda m: _sparse_initializer(
        m, pointing(), _plain("i", TensorProto.INT64)
    ),
    "the indices of a sparse initializer": lambda m: _sparse_initializer(
        m, _plain("v"), pointing()
    ),
    "a constant": lambda m: m.graph.node.append(
        NodeProto(
            op_type="Constant", output=["aside"],
            attribute=[AttributeProto(name="value", t=pointing(), type=AttributeProto.TENSOR)],
        )
    ),
    "a list of tensors": lambda m: m.graph.node.append(_node(tensors=[pointing()])),
    "a sparse tensor of an attribute": lambda m: m.graph.node.append(
        _node(sparse_tensor=_sparse(pointing(), _plain("i", TensorProto.INT64)))
    ),
    "a list of sparse tensors": lambda m: m.graph.node.append(
        _node(sparse_tensors=[_sparse(_plain("v"), pointing())])
    ),
    "a subgraph": lambda m: m.graph.node.append(_node(g=_subgraph())),
    "a subgraph of a subgraph": lambda m: m.graph.node.append(_node(g=_subgraph(5))),
    "a list of subgraphs": lambda m: m.graph.node.append(_node(graphs=[_subgraph()])),
    "a function": _function_pointing,
    "the training information": _training,
}  # fmt: skip


def external() -> Iterator[tuple[str, bytes]]:
    """External data in every form, and in every place."""
    for name, location in LOCATIONS.items():
        there = pointing(location)
        yield (
            f"a tensor whose location {name}",
            changed(
                lambda m, t=there: m.graph.initializer.append(t)  # type: ignore[misc]
            ),
        )
    for name, put in PLACES.items():
        yield f"a tensor elsewhere in {name}", changed(put)
    for name, location_kind in {"without a location": 1, "of an unknown kind": 7}.items():
        raw = changed(lambda m: m.graph.initializer.append(pointing()))
        bare = ModelProto.FromString(raw)
        del bare.graph.initializer[-1].external_data[:]
        # by hand: field 14 of the tensor, which the library would not write with any value
        tensor = bare.graph.initializer[-1]
        tensor.ClearField("data_location")
        tensor.MergeFromString(bytes([14 << 3, location_kind]))
        yield f"a tensor elsewhere {name}", bare.SerializeToString()
    only_entries = ModelProto.FromString(changed(lambda m: m.graph.initializer.append(pointing())))
    only_entries.graph.initializer[-1].ClearField("data_location")
    yield "a location on a tensor that claims to be here", only_entries.SerializeToString()


def operators() -> Iterator[tuple[str, bytes]]:
    """Code that is not the standard's."""
    yield (
        "an operator from a library",
        changed(lambda m: m.graph.node.append(NodeProto(op_type="Shell", domain="evil.ops"))),
    )
    yield (
        "an operator of the runtime's own",
        changed(
            lambda m: m.graph.node.append(NodeProto(op_type="EPContext", domain="com.microsoft"))
        ),
    )
    yield (
        "an operator from a library in a subgraph",
        changed(
            lambda m: m.graph.node.append(
                _node(g=helper.make_graph([NodeProto(op_type="X", domain="evil")], "inner", [], []))
            )
        ),
    )
    yield (
        "a domain that is only declared",
        changed(lambda m: m.opset_import.append(helper.make_opsetid("evil.ops", 1))),
    )
    yield (
        "a domain that looks like the standard's",
        changed(lambda m: m.graph.node.append(NodeProto(op_type="Add", domain="ai.onnx.m1"))),
    )
    yield "a local function", changed(lambda m: m.functions.append(_function()))


def formats() -> Iterator[tuple[str, bytes]]:
    """Bytes that are not an ONNX file, or more than one."""
    yield "no graph at all", b""
    yield "a text", b"not a graph"
    yield "the runtime's other format", b"\x20\0\0\0ORTM" + bytes(64)
    yield "members that the format does not know", graph(VERSION) + b"\x9a\x06\x03abc"
    yield "half a graph", graph(VERSION)[:-20]
