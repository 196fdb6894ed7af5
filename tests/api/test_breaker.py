"""Versions that throw or answer NaN are rolled back by the process itself."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.settings import Settings
from api.smoke import check
from shared.bundle.archive import unpack
from shared.scoring.session import load_model
from tests.api.bundles import Signer, bias_of
from tests.api.faulty import FAILS, WORKS, nan_model
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.api_pushes import Graph, audit, both_faults, promote
from tests.support.api_workers import worker


def version(server: Running) -> str:
    return str(server.client.get("/current_model").json()["version"])


def breaker_lines(settings: Settings) -> list[dict[str, Any]]:
    return [line for line in audit(settings) if line["what"] == "breaker"]


@both_faults
def test_such_a_version_passes_the_smoke_test(signer: Signer, fault: Graph) -> None:
    raw = signer.bundle("1.0.1", {"model.onnx": fault("1.0.1")})
    check(load_model(unpack(raw), allow_pickle=False))


@both_faults
def test_failing_rows_are_answered_by_the_fallback_and_a_few_of_them_step_back(
    settings: Settings, signer: Signer, fault: Graph
) -> None:
    with worker(settings, 0, total=1) as server:
        promote(server, signer, fault)
        good = server.score(amount=WORKS).json()
        assert (good["version"], good["probability"]) == ("1.0.1", 1.0 + bias_of("1.0.1"))
        answers = [server.score(amount=FAILS, transaction_id=f"t{n}") for n in range(4)]
        assert version(server) == "1.0.1"
        answers.append(server.score(amount=FAILS, transaction_id="t4"))
        wait_until(lambda: version(server) == "1.0.0")
        for answer in answers:
            assert answer.status_code == 200, answer.text
            assert answer.headers["X-Model-Version"] == answer.json()["version"] == "1.0.0"
            assert answer.json()["probability"] == FAILS / 2
        metrics = server.client.get("/metrics").text
        assert "understudy_breaker_failures_total 5.0" in metrics
        assert "understudy_breaker_trips_total 1.0" in metrics
        server.drained()
        rows = {row["transaction_id"]: row for row in stored_rows(server.service.database.engine)}
        assert rows["t4"]["model_version"] == "1.0.0"
    (line,) = breaker_lines(settings)
    assert (line["version"], line["previous"], line["who"]) == ("1.0.0", "1.0.1", "breaker")
    assert line["why"].startswith("5 failures within 60 s: version 1.0.1")
    with Running(settings) as server:
        assert version(server) == "1.0.0"


@both_faults
def test_a_batch_with_failing_rows_is_answered_by_the_fallback_as_a_whole(
    settings: Settings, signer: Signer, fault: Graph
) -> None:
    with worker(settings, 0, total=1) as server:
        promote(server, signer, fault)
        instances = [{"amount": amount} for amount in (WORKS, FAILS, WORKS)]
        answer = server.client.post("/score/batch", json={"instances": instances})
        assert answer.json()["version"] == answer.headers["X-Model-Version"] == "1.0.0"
        rows = answer.json()["predictions"]
        assert [row["probability"] for row in rows] == [WORKS / 2, FAILS / 2, WORKS / 2]
        assert {row["version"] for row in rows} == {"1.0.0"}


def test_a_row_that_no_version_can_score_counts_against_none(
    settings: Settings, signer: Signer
) -> None:
    with worker(settings, 0, total=1) as server:
        promote(server, signer, nan_model)
        # Beyond what float32 holds: infinity for any version.
        answers = [server.score(amount=1e39) for _ in range(10)]
        assert {answer.status_code for answer in answers} == {500}
        assert version(server) == "1.0.1"
        assert "understudy_breaker_failures_total 0.0" in server.client.get("/metrics").text


@pytest.mark.parametrize(
    "limits", [{"breaker_failures": 0}, {"breaker_failures": 3, "breaker_window_seconds": 1e-6}]
)
def test_failures_that_are_too_few_for_the_declared_limit_do_not_step_back(
    settings: Settings, signer: Signer, limits: dict[str, Any]
) -> None:
    with worker(settings.model_copy(update=limits), 0, total=1) as server:
        promote(server, signer, nan_model)
        for _ in range(8):
            assert server.score(amount=FAILS).json()["version"] == "1.0.0"
        assert version(server) == "1.0.1"
        assert breaker_lines(settings) == []


def test_without_a_fallback_the_failure_is_told(running: Running, signer: Signer) -> None:
    raw = signer.bundle("1.0.0", {"model.onnx": nan_model("1.0.0")})
    assert running.push(raw, signer).status_code == 200
    answers = [running.score(amount=FAILS) for _ in range(8)]
    assert {answer.json()["type"] for answer in answers} == {
        "urn:understudy:problem:scoring-failed"
    }
    assert version(running) == "1.0.0"


def test_several_workers_step_back_once(settings: Settings, signer: Signer) -> None:
    with worker(settings, 0) as first, worker(settings, 1) as second:
        promote(first, signer, nan_model)

        def fail(number: int) -> httpx.Response:
            return (first, second)[number % 2].score(amount=FAILS)

        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(fail, range(24)))
        assert {answer.json()["version"] for answer in answers} == {"1.0.0"}
        wait_until(lambda: version(first) == version(second) == "1.0.0")
    assert len(breaker_lines(settings)) == 1
