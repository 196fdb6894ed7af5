"""Real graphs that pass the smoke test and fail on some rows: amounts between 100 and 1,000."""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from tests.api.bundles import graph

FAILS, WORKS = 150.0, 2.0


def nan_model(version: str) -> bytes:
    """NaNModel: answers NaN for those rows."""
    return graph(
        version,
        nodes=[
            *_scored_and_chosen(),
            _constant("nan", np.array(np.nan, np.float32)),
            helper.make_node("Where", ["chosen", "nan", "good"], ["scores"]),
        ],
    )


def error_model(version: str) -> bytes:
    """ErrorModel: the runtime throws when one of those rows is in the matrix."""
    return graph(
        version,
        nodes=[
            *_scored_and_chosen(),
            helper.make_node("Cast", ["chosen"], ["marks"], to=7),
            helper.make_node("ReduceMax", ["marks"], ["place"], keepdims=0),
            _constant("table", np.zeros(1, np.float32)),
            helper.make_node("Gather", ["table", "place"], ["nothing"]),
            helper.make_node("Add", ["good", "nothing"], ["scores"]),
        ],
    )


def _scored_and_chosen() -> list[Any]:
    return [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "bias"], ["good"]),
        # half the amount
        _constant("low", np.array(50, np.float32)),
        _constant("high", np.array(500, np.float32)),
        helper.make_node("Greater", ["weighed", "low"], ["above"]),
        helper.make_node("Less", ["weighed", "high"], ["below"]),
        helper.make_node("And", ["above", "below"], ["chosen"]),
    ]


def _constant(name: str, value: Any) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
