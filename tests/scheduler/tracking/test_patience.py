"""A tracking server that is away, hangs or refuses is in nobody's way."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from scheduler.mlflow_tracker import MlflowPublisher, PatientTracker, tracker_for
from scheduler.tracked_run import NoTracking, TrackedRun
from tests.scheduler.tracking.runs import a_run


@dataclass
class StuckServer:
    """Publishing to it lasts until it is released."""

    released: threading.Event = field(default_factory=threading.Event)
    runs: list[TrackedRun] = field(default_factory=list)

    def publish(self, run: TrackedRun) -> None:
        self.released.wait(30)
        self.runs.append(run)


class RefusingServer:
    def publish(self, run: TrackedRun) -> None:
        raise PermissionError("you may not")


def never() -> bool:
    return False


def always() -> bool:
    return True


@pytest.fixture
def stuck_server() -> Iterator[StuckServer]:
    """Released at the end, and gone: what its thread still logs is not the next test's."""
    server = StuckServer()
    yield server
    server.released.set()
    for thread in threading.enumerate():
        if thread.name == "tracking":
            thread.join(30)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Somebody listens there, takes the connection, and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield int(listener.getsockname()[1])


def test_a_server_that_refuses_is_only_mentioned(log: FilteringBoundLogger) -> None:
    with capture_logs() as lines:
        PatientTracker(RefusingServer().publish, 30.0, never, log).track(a_run())

    [line] = lines
    assert line["event"] == "run_not_tracked"
    assert line["reason"] == "PermissionError: you may not"


def test_a_server_that_hangs_is_left_behind_and_not_asked_again(
    stuck_server: StuckServer, log: FilteringBoundLogger
) -> None:
    tracker = PatientTracker(stuck_server.publish, 0.01, never, log)

    with capture_logs() as lines:
        tracker.track(a_run(1))
        tracker.track(a_run(2))

    assert [line["event"] for line in lines] == ["tracking_is_slow", "run_not_tracked"]


def test_a_stop_request_does_not_wait_for_the_server(
    stuck_server: StuckServer, log: FilteringBoundLogger
) -> None:
    PatientTracker(stuck_server.publish, 3_600.0, always, log).track(a_run())

    assert stuck_server.runs == []


def test_nobody_is_told_unless_a_server_is_named(log: FilteringBoundLogger) -> None:
    tracker = tracker_for(None, 1.0, never, log)

    assert isinstance(tracker, NoTracking)
    tracker.track(a_run())


def test_a_port_where_nobody_listens_fails_nothing(log: FilteringBoundLogger) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    tracker = tracker_for(f"http://127.0.0.1:{port}", 60.0, never, log)

    with capture_logs() as lines:
        tracker.track(a_run())

    assert [line["event"] for line in lines] == ["run_not_tracked"]


def test_a_server_that_never_answers_is_given_up_by_its_own_timeout(
    silent_port: int, monkeypatch: pytest.MonkeyPatch, log: FilteringBoundLogger
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    publisher = MlflowPublisher(f"http://127.0.0.1:{silent_port}")

    with capture_logs() as lines:
        PatientTracker(publisher.publish, 60.0, never, log).track(a_run())

    [line] = lines
    assert line["event"] == "run_not_tracked"
    assert "timed out" in line["reason"].lower()
