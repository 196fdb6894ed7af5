"""A real MLflow server, in an environment of its own (make test-tracking)."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.mlflow_tracker import VERSION_TAG, connect, tracker_for
from scheduler.tracked_run import Tracker
from shared.tracing.pipe import SpanPipe
from shared.tracing.spans import Span, new_context
from tests.scheduler.tracking.runs import a_run

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 180
NAME = "understudy-tiny"

pytestmark = pytest.mark.mlflow


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def server_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    named = os.environ.get("MLFLOW_SERVER")
    program = Path(named or ROOT / ".venv-mlflow" / "bin" / "mlflow")
    if not program.exists():
        assert named is None, f"MLFLOW_SERVER names {program}, which is not there"
        pytest.skip("no MLflow server here; make test-tracking installs one")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(program), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        uri = f"http://127.0.0.1:{port}"
        _wait_for(uri, process)
        yield uri
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask first; one that is still busy starting may not hear it."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)


def _wait_for(uri: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(f"{uri}/health", timeout=2.0).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture
def tracker(server_uri: str, log: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    # a machine that runs tests is busier than one that runs a tracking server
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    return tracker_for(server_uri, PATIENCE_SECONDS, never, log)


def runs_by_title(client: Any) -> dict[str, Any]:
    experiment = client.get_experiment_by_name(NAME)
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_runs_models_files_and_aliases_arrive(
    server_uri: str, tracker: Tracker, tmp_path: Path
) -> None:
    for name in ("bundle.zip", "report.html", "verdicts.json"):
        (tmp_path / name).write_bytes(b"content of " + name.encode())

    with capture_logs() as lines:
        tracker.track(a_run(1, "1.0.0", "1.0.0", artefacts=tmp_path))
        tracker.track(a_run(2, "1.0.1", "1.0.0", "REFUSED", artefacts=tmp_path))
        tracker.track(a_run(3, None, "1.0.0", "FAILED"))

    assert [line["event"] for line in lines] == ["run_tracked"] * 3
    client = connect(server_uri)
    runs = runs_by_title(client)
    assert {title: run.info.status for title, run in runs.items()} == {
        "1 1.0.0": "FINISHED",
        "2 1.0.1": "FINISHED",
        "3 promoted": "FAILED",
    }
    first = runs["1 1.0.0"]
    assert len(first.data.params) == 150
    assert first.data.metrics["candidate.average_precision"] == 0.61
    assert first.data.tags[VERSION_TAG] == "1.0.0"
    files = {item.path for item in client.list_artifacts(first.info.run_id)}
    assert files == {"bundle.zip", "report.html", "verdicts.json"}
    champion = client.get_model_version_by_alias(NAME, "champion")
    candidate = client.get_model_version_by_alias(NAME, "candidate")
    assert champion.tags[VERSION_TAG] == "1.0.0"
    assert candidate.tags[VERSION_TAG] == "1.0.1"
    assert champion.run_id == first.info.run_id


def test_the_champions_alias_moves_with_a_promotion_and_back_with_a_rollback(
    server_uri: str, tracker: Tracker
) -> None:
    client = connect(server_uri)

    def champion() -> str:
        return str(client.get_model_version_by_alias(NAME, "champion").tags[VERSION_TAG])

    tracker.track(a_run(10, "2.0.0", "2.0.0"))
    tracker.track(a_run(11, "2.0.1", "2.0.1"))
    assert champion() == "2.0.1"
    tracker.track(a_run(12, "2.0.2", "2.0.0", "REFUSED"))
    assert champion() == "2.0.0"


def test_the_server_takes_our_traces(server_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes OTLP at /v1/traces, and asks for the experiment in a header."""
    made = httpx.post(
        f"{server_uri}/api/2.0/mlflow/experiments/create", json={"name": "traces"}, timeout=60
    )
    experiment = made.raise_for_status().json()["experiment_id"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-mlflow-experiment-id={experiment}")
    pipe, context = SpanPipe("api", server_uri), new_context()
    pipe.start()
    now_ns = time.time_ns()
    phase = Span("features", context.child(), now_ns, now_ns + 1_000, context.span_id)
    assert pipe.keep([Span("score micro-batch", context, now_ns, now_ns + 9_000), phase])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := _traces(server_uri, experiment)) and time.monotonic() < deadline:
        time.sleep(0.5)
    pipe.close()
    assert context.trace_id in str(found)


def _traces(server_uri: str, experiment: str) -> list[Any]:
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    answer = httpx.post(
        f"{server_uri}/api/3.0/mlflow/traces/search", json={"locations": [location]}, timeout=60
    )
    traces: list[Any] = answer.raise_for_status().json().get("traces", [])
    return traces
