"""The configured tracker: none, unless a tracking server is named."""

import threading
import time
from collections.abc import Callable
from importlib.util import find_spec

import structlog
from structlog.typing import FilteringBoundLogger

from scheduler.tracking.mlflow_server import MlflowPublisher
from scheduler.tracking.record import TrackedRun
from scheduler.tracking.tracker import NoTracking, Tracker

# A tracker that gives another one limited time and ignores its errors.

Publish = Callable[[TrackedRun], None]
LOOK_SECONDS = 0.2


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
