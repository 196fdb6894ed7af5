"""The walk of docs/architecture.md through POST /predict is the one that a request takes."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.api.server import Running
from tests.api.shipped import running_shipped
from tests.support.walks import REQUEST

ROOT = Path(__file__).parents[2]
ROW = {"user_id": "u", "merchant_id": "m", "amount": 5.0, "transaction_type": "purchase"}


class Trace:
    """The functions of this project that threads call while it is on, as `file:function`."""

    def __init__(self) -> None:
        self.is_on = False
        self.called: list[str] = []

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if self.is_on and event == "call" and code.co_filename.startswith(str(ROOT)):
            path = Path(code.co_filename).relative_to(ROOT).as_posix()
            self.called.append(f"{path}:{code.co_qualname}")


@pytest.fixture
def traced(template: Path, tmp_path: Path) -> Iterator[tuple[Running, Trace]]:
    trace = Trace()
    threading.setprofile(trace)
    try:
        with running_shipped(template, tmp_path / "shipped") as server:
            yield server, trace
    finally:
        threading.setprofile(None)
        sys.setprofile(None)


@pytest.mark.slow
def test_a_request_takes_the_documented_stops_in_their_order(
    traced: tuple[Running, Trace],
) -> None:
    server, trace = traced
    for number in range(3):
        warm_up = server.client.post("/predict", json={**ROW, "transaction_id": f"w{number}"})
        assert warm_up.status_code == 200
    trace.is_on = True
    answer = server.client.post("/predict", json={**ROW, "transaction_id": "t"})
    trace.is_on = False
    assert answer.status_code == 200
    called = iter(trace.called)
    missed = [stop for stop in (f"{path}:{name}" for path, name in REQUEST) if stop not in called]
    assert missed == [], "not called, or not in this order: correct docs/architecture.md"
