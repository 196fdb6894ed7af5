"""The tracker of MLflow: one run a cycle, one model version a candidate, an alias for each role.

The client is imported when it is first needed; a process without a tracking URI never loads
it. Its own defaults (120 s a request, seven retries) are not ours, and `shared.telemetry` has
switched its usage telemetry off.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import structlog
from structlog.typing import FilteringBoundLogger

from scheduler.tracked_run import NoTracking, TrackedRun, Tracker
from shared.tables.runs import RunStatus

if TYPE_CHECKING:
    from mlflow import MlflowClient


CHAMPION, CANDIDATE = "champion", "candidate"
VERSION_TAG = "understudy.version"
TIMEOUT_SECONDS, RETRIES = 5, 1

# limits of MLflow's REST API
PARAMETERS_A_CALL, METRICS_A_CALL, VALUE_LENGTH = 100, 1_000, 6_000

_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(TIMEOUT_SECONDS),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(RETRIES),
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
LOOK_SECONDS = 0.2
Item = TypeVar("Item")
Publish = Callable[[TrackedRun], None]


def tracker_for(
    tracking_uri: str | None,
    wait_seconds: float,
    is_stopping: Callable[[], bool],
    log: FilteringBoundLogger,
) -> Tracker:
    """The tracker for a setting; a missing client library is logged once, and tracking is off."""
    if tracking_uri is None:
        return NoTracking()
    if find_spec("mlflow") is None:
        remedy = "pip install -r requirements/tracking.txt"
        log.warning("tracking_is_off", reason="the MLflow client is not installed", remedy=remedy)
        return NoTracking()
    return PatientTracker(MlflowPublisher(tracking_uri).publish, wait_seconds, is_stopping, log)


class PatientTracker:
    """Publishes in a separate thread; a server that hangs costs `wait_seconds`, once."""

    def __init__(
        self,
        publish: Publish,
        wait_seconds: float,
        is_stopping: Callable[[], bool],
        log: FilteringBoundLogger,
    ) -> None:
        self._publish = publish
        self._wait_seconds = wait_seconds
        self._is_stopping = is_stopping
        self._log = log
        self._thread: threading.Thread | None = None

    def track(self, run: TrackedRun) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._log.warning("run_not_tracked", reason="the tracking server still hangs")
            return
        context = structlog.contextvars.get_contextvars()
        self._thread = threading.Thread(
            target=self._attempt, args=(run, context), name="tracking", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + self._wait_seconds
        while self._thread.is_alive() and time.monotonic() < deadline and not self._is_stopping():
            self._thread.join(LOOK_SECONDS)
        if self._thread.is_alive():
            self._log.warning("tracking_is_slow", waited_seconds=self._wait_seconds)

    def _attempt(self, run: TrackedRun, context: dict[str, object]) -> None:
        with structlog.contextvars.bound_contextvars(**context):
            try:
                self._publish(run)
            except Exception as error:  # noqa: BLE001 - whatever a server does, the run is over
                reason = f"{type(error).__name__}: {error}"
                self._log.warning("run_not_tracked", reason=reason)
            else:
                self._log.info("run_tracked")


class MlflowPublisher:
    """Writes runs to a tracking server and its model registry."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri

    def publish(self, run: TrackedRun) -> None:
        """All of one run.

        Raises:
            ImportError: the client is not installed (requirements/tracking.txt).
            Exception: whatever the client makes of a server that is away or refuses.
        """
        client = connect(self._tracking_uri)
        name = f"understudy-{run.use_case}"
        tracked_id, artifacts = _log_run(client, name, run)
        if run.version is not None:
            _register(client, name, run, tracked_id, artifacts)
        if run.serving_version is not None:
            _point(client, name, CHAMPION, run.serving_version)


def connect(tracking_uri: str) -> "MlflowClient":
    """A client with explicit timeouts; variables that are set already are not touched."""
    for variable, value in _DEFAULTS.items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient  # noqa: PLC0415 - seconds to import, and seldom wanted

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _log_run(client: "MlflowClient", experiment: str, run: TrackedRun) -> tuple[str, str]:
    """The run with everything about it; returns its id and where its artefacts went."""
    from mlflow.entities import Metric, Param  # noqa: PLC0415

    tags = {VERSION_TAG: run.version or "", "understudy.run_id": str(run.run_id)}
    tags |= {"understudy.status": run.status, "understudy.code": run.code}
    tags["mlflow.note.content"] = run.message
    title = f"{run.run_id} {run.version or run.code}"
    info = client.create_run(_experiment_id(client, experiment), tags=tags, run_name=title).info
    parameters = [Param(key, value[:VALUE_LENGTH]) for key, value in _named(run.parameters).items()]
    metrics = [Metric(key, value, info.start_time, 0) for key, value in _named(run.metrics).items()]
    for some in _batches(parameters, PARAMETERS_A_CALL):
        client.log_batch(info.run_id, params=some)
    for these in _batches(metrics, METRICS_A_CALL):
        client.log_batch(info.run_id, metrics=these)
    if run.artefacts is not None and run.artefacts.is_dir():
        client.log_artifacts(info.run_id, str(run.artefacts))
    status = "FAILED" if run.status == RunStatus.FAILED else "FINISHED"
    client.set_terminated(info.run_id, status=status)
    return info.run_id, info.artifact_uri


def _experiment_id(client: "MlflowClient", name: str) -> str:
    found = client.get_experiment_by_name(name)
    return client.create_experiment(name) if found is None else str(found.experiment_id)


def _register(
    client: "MlflowClient", name: str, run: TrackedRun, tracked_id: str, artifacts: str
) -> None:
    """A version of the registered model for this candidate, under the candidate's alias."""
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        client.create_registered_model(name)
    tags = {VERSION_TAG: str(run.version), "understudy.status": run.status}
    made = client.create_model_version(
        name,
        source=artifacts,
        run_id=tracked_id,
        tags=tags,
        description=run.message,
        await_creation_for=0,
    )
    client.set_registered_model_alias(name, CANDIDATE, made.version)


def _point(client: "MlflowClient", name: str, alias: str, version: str) -> None:
    """Let an alias name our version; one the server has never seen is not touched."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{VERSION_TAG}` = '{version}'")
    if found:
        newest = max(found, key=lambda item: int(item.version))
        client.set_registered_model_alias(name, alias, newest.version)


def _named(values: Mapping[str, Item]) -> dict[str, Item]:
    """Names as the server allows them."""
    return {re.sub(r"[^\w.\- ]", "_", name)[:250]: value for name, value in values.items()}


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
