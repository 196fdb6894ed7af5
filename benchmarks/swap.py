"""Swaps under steady load on one worker: no request fails, no answer is torn. `make bench-swap`

Two versions of a graph that answers a constant of its own take turns, by named rollback: the
same assignment as a push, without the seconds a push spends on its smoke test. An answer is
torn when the score in it is not that of the version it names, in the body or in the header.
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.load import on_core
from benchmarks.report import Bar, finish
from benchmarks.services import Services
from benchmarks.serving_world import push
from shared.bundle.archive import pack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.keys.tokens import Role, read_token
from usecases.fraud.features.catalogue import FEATURE_SET

SCORES = {"1.0.0": 0.125, "1.0.1": 0.25}
COMPONENTS = ("classifier", "isolation_forest", "autoencoder")
CLIENTS = 8
BARS: dict[str, Bar] = {"failed": ("==", 0), "torn": ("==", 0), "swaps": (">=", 1_000)}


def bundle(version: str) -> bytes:
    """A bundle whose every score is the constant of its version."""
    features, components = len(FEATURE_SET.names), len(COMPONENTS)
    weights = np.zeros((features, components), dtype=np.float32)
    constant = np.full(components, SCORES[version], dtype=np.float32)
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
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(constant, "constant"),
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
        ],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return pack(_manifest(version), {"model.onnx": model.SerializeToString()})


def _manifest(version: str) -> Manifest:
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
            rows=1, positives=0, window_start=moment, window_end=moment, sha256="0" * 64
        ),
        description="measured, never served",
    )


class Clients:
    """Threads that score and check each answer until told to stop."""

    def __init__(self, url: str) -> None:
        self.answers = self.failed = self.torn = 0
        self._url = url
        self._lock = threading.Lock()
        self._done = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._work) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _work(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._done.is_set():
                failed = torn = False
                try:
                    answer = client.post("/predict", json={"amount": 5.0, "user_id": "u"})
                    failed = not answer.is_success
                    torn = not failed and _is_torn(answer)
                except httpx.HTTPError:
                    failed = True
                with self._lock:
                    self.answers += 1
                    self.failed += failed
                    self.torn += torn


def _is_torn(answer: httpx.Response) -> bool:
    body = answer.json()
    named = {body["version"], answer.headers["x-model-version"]}
    return len(named) != 1 or SCORES[body["version"]] != body["probability"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=1_000)
    swaps, done = parser.parse_args().swaps, 0
    with tempfile.TemporaryDirectory() as name, Services(Path(name)) as services:
        with on_core(0):
            services.start_api()
        keys = services.folder / "keys"
        for version in SCORES:
            push(services.url, keys, bundle(version))
        headers = {"Authorization": f"Bearer {read_token(keys, Role.OPERATOR)}"}
        clients, versions = Clients(services.url), list(SCORES)
        with clients.at_work(), httpx.Client(base_url=services.url, timeout=30) as operator:
            for number in range(swaps):
                wanted = {"version": versions[number % 2], "reason": "bench"}
                answer = operator.post("/rollback_model", json=wanted, headers=headers)
                done += answer.is_success
                if not answer.is_success:
                    sys.stderr.write(f"{answer.text}\n")
        figures = {
            "swaps": float(done),
            "answers": float(clients.answers),
            "failed": float(clients.failed),
            "torn": float(clients.torn),
        }
    finish("swap", figures, BARS)


if __name__ == "__main__":
    main()
