"""General model servers, each as its manual starts one: MLServer and BentoML, where installed.

They live in separate environments below RIVALS_DIR, because what they pin is not what the
project pins: `RIVALS_DIR/mlserver/bin/mlserver`, `RIVALS_DIR/bentoml/bin/bentoml`. One worker
each, behind 16 connections on the core where the service was. They serve the gradient boosting
of the classifier alone and get its 43 features for nothing: no history, no rules, no record.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.load import SERVER_CORE, Measured, on_core, press
from benchmarks.services import free_port
from scheduler.child_runner import descendants

MODEL = "model.joblib"
ROWS = 500
_START_SECONDS, _STOP_SECONDS = 90, 15
_WARM_UP_SECONDS, _SECONDS = 1.0, 3.0
_BENTO = f"""
import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1)
class Classifier:
    def __init__(self) -> None:
        self.model = joblib.load("{MODEL}")

    @bentoml.api
    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(features)
"""


@dataclass(frozen=True, slots=True)
class ModelServer:
    """The command and the request of a model server.

    Attributes:
        prepare: writes its files into a folder and returns the arguments of its command.
        body: a request about one row.
    """

    name: str
    ready: str
    path: str
    prepare: Callable[[Path, int], list[str]]
    body: Callable[[list[float]], dict[str, Any]]


def measure(models: Path, root: Path, rounds: int) -> dict[str, list[Measured]]:
    """Each server that is installed, in turn and alone on its core; empty where none is."""
    found: dict[str, list[Measured]] = {}
    for server in _installed():
        folder = root / server.name
        folder.mkdir()
        bodies = _write(models, folder, server)
        with _running(server, folder) as (url, pid):
            press(url, pid, bodies, "", _WARM_UP_SECONDS)
            found[server.name] = [press(url, pid, bodies, "", _SECONDS) for _ in range(rounds)]
        for number, measured in enumerate(found[server.name]):
            sys.stderr.write(f"  {number} {server.name:<9} {measured}\n")
    return found


def against(found: dict[str, list[Measured]], warm_per_second: float) -> dict[str, float]:
    """Rates of both, and the ratio of the service with everything on to the other."""
    figures: dict[str, float] = {}
    for name, rounds in found.items():
        rate = median(measured.per_second for measured in rounds)
        figures[f"{name}_per_second"] = round(rate, 1)
        figures[f"{name}_p99_ms"] = round(median(measured.p99_ms for measured in rounds), 3)
        figures[f"{name}_failed"] = sum(measured.failed for measured in rounds)
        figures[f"warm_vs_{name}"] = round(warm_per_second / rate, 1)
    return figures


def _installed() -> list[ModelServer]:
    return [server for server in SERVERS if _command(server).exists()]


def _command(server: ModelServer) -> Path:
    return Path(os.environ.get("RIVALS_DIR", "")) / server.name / "bin" / server.name


def _write(models: Path, folder: Path, server: ModelServer) -> Path:
    """The model as both servers read it, and a file of requests."""
    with models.open("rb") as file:
        fitted, features = pickle.load(file)
    (folder / MODEL).write_bytes(pickle.dumps(fitted.classifier.boosting))
    rest = [value for name, (value,) in features.items() if name != "amount"]
    rows = ([float(amount), *rest] for amount in range(ROWS))
    bodies = folder / "bodies.jsonl"
    bodies.write_text("".join(json.dumps(server.body(row)) + "\n" for row in rows))
    return bodies


@contextmanager
def _running(server: ModelServer, folder: Path) -> Iterator[tuple[str, int]]:
    """The address that scores, and the process; it and what it started end with the block."""
    port = free_port()
    command = [str(_command(server)), *server.prepare(folder, port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True"}
    with (folder / "log").open("wb") as log, on_core(SERVER_CORE):
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}{server.ready}", process, folder / "log")
        yield f"http://127.0.0.1:{port}{server.path}", process.pid
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end with its workers, which are separate sessions; insist where it does not."""
    family = [process.pid, *descendants(process.pid)]
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{url} does not answer\n{log.read_text()[-4_000:]}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _prepare_mlserver(folder: Path, port: int) -> list[str]:
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"debug": False, "host": "127.0.0.1", **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "classifier",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": f"./{MODEL}", "version": "1"},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    return ["start", "."]


def _mlserver_body(row: list[float]) -> dict[str, Any]:
    said = {"name": "predict", "shape": [1, len(row)], "datatype": "FP32", "data": row}
    return {"inputs": [said], "outputs": [{"name": "predict_proba"}]}


def _prepare_bentoml(folder: Path, port: int) -> list[str]:
    (folder / "service.py").write_text(_BENTO)
    return ["serve", "service:Classifier", "--host", "127.0.0.1", "--port", str(port)]


def _bentoml_body(row: list[float]) -> dict[str, Any]:
    return {"features": [row]}


SERVERS = (
    ModelServer(
        "mlserver",
        "/v2/models/classifier/ready",
        "/v2/models/classifier/infer",
        _prepare_mlserver,
        _mlserver_body,
    ),
    ModelServer("bentoml", "/readyz", "/predict", _prepare_bentoml, _bentoml_body),
)
