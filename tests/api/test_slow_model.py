"""A slow version delays only its own rows."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from onnx import helper, numpy_helper

from api.models.model_slot import QUICK_SECONDS, SLOW_SECONDS, Pace
from api.models.verify import ChildSmokeTest
from api.scoring.lane import LOOP_SECONDS, ScoringLane
from api.settings import Settings
from api.wiring import build_service
from shared.bundle.manifest import Manifest
from shared.clock import SystemClock
from shared.scoring.model import Model
from shared.sizes import MIB
from shared.usecase.serving import FloatMatrix
from tests.api.bundles import Signer, bias_of, graph
from tests.api.pickles import bundle, sleepy
from tests.api.plain import talk
from tests.api.server import Running, wait_until
from tests.api.tiny import TinyUseCase, stored_rows
from tests.support.api_pushes import audit
from tests.support.raw_requests import LIVE, address_of, answers, request

pytestmark = pytest.mark.slow

CONNECTIONS = 64
GENEROUS_SECONDS = 5.0


def slow_graph(version: str, turns: int = 24) -> bytes:
    """A graph that multiplies large matrices once for each row: some 40 ms a row, on its own."""
    size = 256
    loops: list[Any] = [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "bias"], ["good"]),
        _constant("ones", np.full((1, size, size), 1e-6, np.float32)),
        # rows x size x size, then a product for each row, over and over
        helper.make_node("ReduceSum", ["good", "columns"], ["first"], keepdims=1),
        _constant("columns", np.array([1], np.int64)),
        _constant("deeper", np.array([2], np.int64)),
        helper.make_node("Unsqueeze", ["first", "deeper"], ["deep"]),
        helper.make_node("Mul", ["deep", "ones"], ["m0"]),
    ]
    loops += [helper.make_node("MatMul", [f"m{n}", "ones"], [f"m{n + 1}"]) for n in range(turns)]
    loops += [
        _constant("nothing", np.array(0.0, np.float32)),
        _constant("last", np.array([1, 2], np.int64)),
        helper.make_node("ReduceSum", [f"m{turns}", "last"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nothing"], ["no"]),
        helper.make_node("Unsqueeze", ["no", "columns"], ["zeros"]),
        helper.make_node("Add", ["good", "zeros"], ["scores"]),
    ]
    return graph(version, nodes=_in_order(loops))


def _in_order(nodes: list[Any]) -> list[Any]:
    """Constants first."""
    return sorted(nodes, key=lambda node: node.op_type != "Constant")


def _constant(name: str, value: Any) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


class Crowd:
    """Many connections that ask again and again until the context ends."""

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        self._url = url
        self._pool = ThreadPoolExecutor(connections)
        self._connections = connections
        self._over = threading.Event()
        self.statuses: list[int] = []

    def __enter__(self) -> "Crowd":
        self._asking = [self._pool.submit(self._ask, n) for n in range(self._connections)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for asking in self._asking:
            asking.result()

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._over.is_set():
                row = {"amount": 2.0, "user_id": f"u{number}"}
                try:
                    answer = client.post("/score", json=row)
                except httpx.TransportError:
                    return  # the server is gone
                self.statuses.append(answer.status_code)


class SlowInItsTest:
    """A smoke test that is over at once and tells what the real one would of such a graph."""

    def run(self, raw: bytes) -> float:
        return 2 * SLOW_SECONDS


@pytest.fixture
def slow(settings: Settings, signer: Signer) -> Iterator[Running]:
    """A quick version, and a slow one that took its place; the breaker leaves it alone."""
    patient = settings.model_copy(update={"breaker_failures": 0})
    service = build_service(patient, TinyUseCase(), SystemClock(), smoke=SlowInItsTest())
    with Running(patient, service=service) as server:
        push(server, signer, "1.0.1")
        yield server


def push(server: Running, signer: Signer, version: str, turns: int = 24) -> None:
    raw = signer.bundle(version, {"model.onnx": slow_graph(version, turns)})
    pushed = server.push(raw, signer)
    assert pushed.status_code == 200, pushed.text


def test_the_smoke_test_tells_how_long_a_row_takes(signer: Signer) -> None:
    raw = signer.bundle("1.0.1", {"model.onnx": slow_graph("1.0.1")})
    seconds = ChildSmokeTest(60, 2048 * MIB).run(raw)
    assert seconds is not None
    assert Pace(seconds).is_slow


def test_a_version_that_was_slow_in_its_test_is_scored_on_a_thread_from_its_first_row(
    slow: Running,
) -> None:
    answer = slow.score(amount=2.0)
    assert answer.json()["version"] == "1.0.1"
    assert any(thread.name == "scoring" for thread in threading.enumerate())


def test_others_are_answered_while_sixty_four_connections_wait_for_a_slow_version(
    slow: Running,
) -> None:
    with Crowd(slow.url) as crowd:
        wait_until(lambda: len(crowd.statuses) >= 3)
        for path in ("/livez", "/readyz", "/metrics", "/api/health", "/current_model"):
            began = time.monotonic()
            assert slow.client.get(path).status_code == 200
            assert time.monotonic() - began < GENEROUS_SECONDS, path
        began = time.monotonic()
        assert slow.rollback().status_code == 200
        assert time.monotonic() - began < GENEROUS_SECONDS
        before = len(crowd.statuses)
        wait_until(lambda: len(crowd.statuses) > before + 3 * CONNECTIONS, seconds=20)
    assert set(crowd.statuses) == {200}
    assert slow.service.scoring.lane.is_free


def test_rows_and_batches_of_a_slow_version_see_each_other_and_are_all_recorded(
    slow: Running,
) -> None:
    def one(number: int) -> list[int]:
        with httpx.Client(base_url=slow.url, timeout=60) as client:
            if number % 2:
                body = {"instances": [{"amount": 1.0, "user_id": "u"}] * 3}
                answer = client.post("/score/batch", json=body)
                return [row["seen_before"] for row in answer.json()["predictions"]]
            answer = client.post("/score", json={"amount": 1.0, "user_id": "u"})
            return [answer.json()["seen_before"]]

    with ThreadPoolExecutor(8) as pool:
        seen = sorted(count for counts in pool.map(one, range(8)) for count in counts)
    assert seen == list(range(16))
    slow.drained()
    assert len(stored_rows(slow.service.database.engine)) == 16


def test_a_slow_version_that_is_left_gives_the_event_loop_its_rows_back(
    slow: Running, signer: Signer
) -> None:
    assert slow.score(amount=2.0).status_code == 200
    assert not slow.service.scoring.lane.is_free
    slow.rollback()
    assert slow.score(amount=2.0).json()["version"] == "1.0.0"
    assert slow.service.scoring.lane.is_free


def test_a_server_stops_while_rows_wait_for_a_slow_version(slow: Running) -> None:
    with Crowd(slow.url, connections=8) as crowd:
        wait_until(lambda: len(crowd.statuses) >= 1)
        slow.stop()
        wait_until(lambda: not slow.is_alive(), seconds=20)
    assert slow.service.journaling.journal.backlog == 0


def becomes_slow(pace: Pace, rows: int, *seconds: float) -> list[bool]:
    """Whether it is slow after each of these calls."""
    told = []
    for each in seconds:
        pace.took(rows, each)
        told.append(pace.is_slow)
    return told


def test_a_version_is_slow_after_two_slow_calls_or_a_first_one() -> None:
    slow, quick = 2 * SLOW_SECONDS, QUICK_SECONDS / 2
    assert becomes_slow(Pace(0.001), 1, slow, quick, slow, slow) == [False, False, False, True]
    assert Pace(slow).is_slow
    assert becomes_slow(Pace(), 2, 2 * slow, quick, quick) == [True, True, False]


def test_no_more_rows_are_taken_up_together_than_are_quick(serving: Running) -> None:
    models = serving.service.models.slot
    lane = ScoringLane(models)
    assert models.live is not None
    models.live.pace.row_seconds = 0.0001
    assert lane.rows_at_once(64) == 64
    tenth = LOOP_SECONDS / 9.5
    lane.took(10, 10 * tenth)
    assert lane.rows_at_once(64) > 10
    for _ in range(10):
        lane.took(10, 10 * tenth)
    assert lane.rows_at_once(64) == 9
    models.live.pace.row_seconds = 1.0
    assert lane.rows_at_once(64) == 1


def test_the_service_itself_leaves_a_version_that_is_too_slow_while_rows_wait_for_it(
    settings: Settings, signer: Signer
) -> None:
    tight = settings.model_copy(update={"scoring_budget_seconds": 0.005})
    service = build_service(tight, TinyUseCase(), SystemClock(), smoke=SlowInItsTest())
    with Running(tight, service=service) as server:
        push(server, signer, "1.0.1", turns=12)
        with Crowd(server.url, connections=16):
            wait_until(lambda: service.models.slot.version == "1.0.0", seconds=60)
        metrics = server.client.get("/metrics").text
        assert "understudy_breaker_trips_total 1.0" in metrics
        assert "understudy_breaker_failures_total 0.0" in metrics
        assert "understudy_breaker_overruns_total 0.0" not in metrics
    (line,) = [line for line in audit(settings) if line["what"] == "breaker"]
    assert (line["version"], line["previous"]) == ("1.0.0", "1.0.1")
    assert "s a row, the limit is 0.005 s" in line["why"]


def test_a_version_whose_fallback_is_as_slow_is_not_left(
    settings: Settings, signer: Signer
) -> None:
    tight = settings.model_copy(update={"scoring_budget_seconds": 0.005})
    service = build_service(tight, TinyUseCase(), SystemClock(), smoke=SlowInItsTest())
    with Running(tight, service=service) as server:
        push(server, signer, "1.0.1")
        push(server, signer, "1.0.2")
        for _ in range(8):
            assert server.score(amount=2.0).json()["version"] == "1.0.2"
        assert "understudy_breaker_overruns_total 0.0" in server.client.get("/metrics").text


class ModelOnABusyMachine:
    """Every other call is interrupted by another process, and takes long."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.calls = 0

    @property
    def manifest(self) -> Manifest:
        return self._model.manifest

    @property
    def sha256(self) -> str:
        return self._model.sha256

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        self.calls += 1
        if self.calls % 2:
            time.sleep(0.1)
        return self._model.score(matrix)


def test_a_call_that_was_interrupted_is_not_the_versions_fault(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        push(server, signer, "1.0.1", turns=1)
        models = server.service.models.slot
        assert models.live is not None
        busy = ModelOnABusyMachine(models.live.model)
        models.assign(replace(models.live, model=busy), models.fallback)
        for _ in range(12):
            assert server.score(amount=2.0).json()["version"] == "1.0.1"
        assert "understudy_breaker_overruns_total 0.0" in server.client.get("/metrics").text


def test_requests_sent_without_waiting_are_answered_in_turn_while_rows_are_slow(
    slow: Running,
) -> None:
    wanted = [1.0, 2.0, None, 3.0, None, 4.0]
    sent = b"".join(LIVE if one is None else request(one) for one in wanted)
    with talk(address_of(slow), sent) as connection:
        connection.settimeout(60)
        found = answers(connection, len(wanted))
    for one, (status, body) in zip(wanted, found, strict=True):
        assert status == 200
        scored = orjson.loads(body).get("probability")
        assert scored == (None if one is None else one / 2 + bias_of("1.0.1"))


def test_a_pickled_version_that_sleeps_for_each_row_is_left_while_others_are_answered(
    settings: Settings, signer: Signer
) -> None:
    allowing = settings.model_copy(update={"allow_pickle_models": True})
    service = build_service(allowing, TinyUseCase(), SystemClock(), smoke=SlowInItsTest())
    with Running(allowing, service=service) as server:
        pushed = server.push(bundle(signer, "1.0.1", sleepy(0.13)), signer)
        assert pushed.status_code == 200, pushed.text
        with Crowd(server.url):
            for path in ("/livez", "/metrics"):
                began = time.monotonic()
                assert server.client.get(path).status_code == 200
                assert time.monotonic() - began < GENEROUS_SECONDS, path
            wait_until(lambda: service.models.slot.version == "1.0.0", seconds=60)
    (line,) = [line for line in audit(settings) if line["what"] == "breaker"]
    assert (line["version"], line["previous"]) == ("1.0.0", "1.0.1")


def test_a_process_whose_model_hangs_says_that_it_is_not_alive(settings: Settings) -> None:
    over = threading.Event()
    impatient = settings.model_copy(update={"worker_hang_seconds": 0.2})

    def hang() -> None:
        over.wait(60)

    def done() -> None:
        """Nobody waits for what hung."""

    with Running(impatient) as server:
        server.service.scoring.dispatcher(lambda: server.service.scoring.lane.offload(hang, done))
        try:
            wait_until(lambda: server.client.get("/livez").status_code == 500)
            assert server.client.get("/readyz").json()["type"].endswith("scoring-failed")
            assert server.client.get("/api/health").status_code == 200
        finally:
            over.set()
        wait_until(lambda: server.client.get("/livez").status_code == 200)
        assert server.score(amount=2.0).status_code == 200
