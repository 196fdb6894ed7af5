"""Pushes, the audit trail, and models that misbehave."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from api.settings import Settings
from tests.api.bundles import Signer, graph
from tests.api.faulty import error_model, nan_model
from tests.api.server import Running

Graph = Callable[[str], bytes]


both_faults = pytest.mark.parametrize("fault", [nan_model, error_model])


def promote(server: Running, signer: Signer, fault: Graph) -> None:
    pushed = server.push(signer.bundle("1.0.1", {"model.onnx": fault("1.0.1")}), signer)
    assert pushed.status_code == 200, pushed.text


def refused(server: Running, answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The push was refused, audited and counted, and the old model serves on."""
    assert answer.status_code == status, answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"urn:understudy:problem:{kind}"
    assert server.score(amount=3.0).json()["version"] == "1.0.0"
    last = audit(server.settings)[-1]
    assert (last["what"], last["code"], last["who"]) == ("push-refused", kind, "push")
    assert f'push_refusals_total{{reason="{kind}"}} 1.0' in server.client.get("/metrics").text
    return problem


def audit(settings: Settings) -> list[dict[str, Any]]:
    path = settings.prod_models_dir / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def rezipped(raw: bytes, changed: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, changed.get(entry.filename) or old.read(entry))
    return buffer.getvalue()


def endless() -> bytes:
    """A loop that only ends after 2**62 rounds."""
    round_ = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Identity", ["carried"], ["carries"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, [None, 2]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carries", TensorProto.FLOAT, [None, 2]),
        ],
    )
    rounds = numpy_helper.from_array(np.array(2**62, np.int64), "rounds")
    forever = numpy_helper.from_array(np.array(True), "forever")
    return graph(
        "1.0.0",
        nodes=[
            helper.make_node("Constant", [], ["rounds"], value=rounds),
            helper.make_node("Constant", [], ["forever"], value=forever),
            helper.make_node("Loop", ["rounds", "forever", "features"], ["scores"], body=round_),
        ],
    )


def greedy() -> bytes:
    """Ten GiB of zeros in the middle."""
    shape = numpy_helper.from_array(np.array([10 * 1024, 256 * 1024], np.int64), "shape")
    return graph(
        "1.0.0",
        nodes=[
            helper.make_node("Constant", [], ["shape"], value=shape),
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
            helper.make_node("Add", ["features", "sum"], ["scores"]),
        ],
    )
