"""Graphs that are well behaved, except on a row of one amount: there they really fail."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.api.bundles import graph

TRAP = 777.0


def answers_nan(version: str) -> bytes:
    """0 / 0 on the trap."""
    return _faulty(
        version,
        helper.make_node("Cast", ["hit"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one_float", "as_float"], ["rest"]),
        helper.make_node("Div", ["rest", "rest"], ["quotient"]),
        helper.make_node("Sub", ["quotient", "one_float"], ["nothing"]),
    )


def crashes(version: str) -> bytes:
    """The least integer divided by -1, which has no result: the processor ends the process."""
    return _faulty(
        version,
        helper.make_node("Sub", ["one", "hit"], ["one_less"]),
        helper.make_node("Sub", ["one_less", "hit"], ["divisor"]),
        helper.make_node("Div", ["least", "divisor"], ["quotient"]),
        helper.make_node("Sub", ["quotient", "least"], ["difference"]),
        helper.make_node("Cast", ["difference"], ["nothing"], to=TensorProto.FLOAT),
    )


def hangs(version: str) -> bytes:
    """A loop of 10^15 rounds."""
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Identity", ["state"], ["new_state"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            state,
        ],
        [
            helper.make_tensor_value_info("still_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("new_state", TensorProto.FLOAT, []),
        ],
    )
    return _faulty(
        version,
        helper.make_node("Mul", ["hit", "many"], ["rounds"]),
        helper.make_node("Loop", ["rounds", "", "zero_float"], ["nothing"], body=body),
    )


def eats_memory(version: str) -> bytes:
    """A tensor of 40 GB."""
    return _faulty(
        version,
        helper.make_node("Mul", ["hit", "ten_milliards"], ["more"]),
        helper.make_node("Add", ["more", "one"], ["size"]),
        helper.make_node("Reshape", ["size", "vector"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["heap"]),
        helper.make_node("ReduceMax", ["heap"], ["nothing"], keepdims=0),
    )


def _faulty(version: str, *making_nothing: Any) -> bytes:
    """The tiny graph plus `nothing`, a zero that the given nodes make from `hit`."""
    constants = {
        "place": np.array(0),
        "trap": np.array(TRAP, np.float32),
        "one": np.array(1),
        "least": np.array(np.iinfo(np.int64).min),
        "one_float": np.array(1, np.float32),
        "zero_float": np.array(0, np.float32),
        "many": np.array(10**15),
        "ten_milliards": np.array(10**10),
        "vector": np.array([1]),
    }
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))
        for name, value in constants.items()
    ]
    nodes += [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "features"], ["known"]),
        helper.make_node("Gather", ["known", "place"], ["amount"], axis=1),
        helper.make_node("Equal", ["amount", "trap"], ["is_hit"]),
        helper.make_node("Cast", ["is_hit"], ["hits"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["hits"], ["hit"], keepdims=0),
        *making_nothing,
        helper.make_node("MatMul", ["known", "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "bias"], ["biased"]),
        helper.make_node("Add", ["biased", "nothing"], ["scores"]),
    ]
    return graph(version, nodes=nodes)
