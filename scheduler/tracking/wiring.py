"""Which tracker there is: none, unless a tracking server is named."""

from collections.abc import Callable
from importlib.util import find_spec

from structlog.typing import FilteringBoundLogger

from scheduler.tracking.mlflow_server import MlflowPublisher
from scheduler.tracking.patience import PatientTracker
from scheduler.tracking.tracker import NoTracking, Tracker


def tracker_for(
    tracking_uri: str | None,
    wait_seconds: float,
    is_stopping: Callable[[], bool],
    log: FilteringBoundLogger,
) -> Tracker:
    """The tracker for a setting; a missing client is said once, and nothing else happens."""
    if tracking_uri is None:
        return NoTracking()
    if find_spec("mlflow") is None:
        remedy = "pip install -r requirements/tracking.txt"
        log.warning("tracking_is_off", reason="the MLflow client is not installed", remedy=remedy)
        return NoTracking()
    return PatientTracker(MlflowPublisher(tracking_uri).publish, wait_seconds, is_stopping, log)
