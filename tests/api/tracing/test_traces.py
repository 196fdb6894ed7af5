"""Traces of a running service, at a collector that decodes what arrives."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings
from api.tracing.tracers import PHASES
from shared.tracing.spans import TraceContext, new_context
from tests.api.bundles import Signer
from tests.api.faulty import FAILS, error_model
from tests.api.server import Running, wait_until
from tests.support.collector import Collector, Mood, running_collector, values
from tests.support.traced_rows import send_together

PATIENCE_SECONDS = 60
BATCH = "score micro-batch"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as found:
        yield found


def traced(settings: Settings, collector: Collector) -> Settings:
    return settings.model_copy(update={"otel_exporter_otlp_endpoint": collector.url})


def calling(context: TraceContext) -> dict[str, str]:
    return {"traceparent": context.traceparent}


def test_a_row_of_a_caller_that_keeps_its_trace_is_a_batch_with_its_phases(
    settings: Settings, collector: Collector
) -> None:
    caller = new_context()
    with Running(traced(settings, collector)) as server:
        body = {"amount": 2.0}
        answer = server.client.post("/score", json=body, headers=calling(caller))
        assert answer.status_code == 200
        unsampled = new_context()._replace(is_sampled=False)
        server.client.post("/score", json=body, headers=calling(unsampled))
        wait_until(lambda: len(collector.spans) >= len(PHASES) + 2, PATIENCE_SECONDS)
    [batch] = collector.named(BATCH)
    known = values(batch.attributes)
    assert known["kept"] == "caller"
    assert (known["rows"], known["model.version"], known["route"]) == (1, "1.0.0", "/score")
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in batch.links] == [
        (caller.trace_id, caller.span_id)
    ]
    children = sorted(collector.children_of(batch), key=lambda span: span.start_time_unix_nano)
    assert {span.name for span in children} == set(PHASES)
    assert children[0].name == "wait"
    inside = [(span.start_time_unix_nano, span.end_time_unix_nano) for span in children]
    assert all(
        batch.start_time_unix_nano <= begin <= end <= batch.end_time_unix_nano
        for begin, end in inside
    )
    # phases follow one another without a gap
    assert all(before[1] == after[0] for before, after in pairwise(inside))
    # and the caller's own trace says that it was here
    [request] = collector.named("POST /score")
    assert request.trace_id.hex() == caller.trace_id
    assert request.parent_span_id.hex() == caller.span_id
    assert abs(batch.end_time_unix_nano / 1e9 - time.time()) < 120


def test_a_row_that_fails_names_its_trace_in_the_answer_and_in_the_log(
    running: Running, collector: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = running.settings
    signer = Signer(settings.keys_dir)
    raw = signer.bundle("1.0.0", {"model.onnx": error_model("1.0.0")})
    assert running.push(raw, signer).status_code == 200
    running.stop()
    wait_until(lambda: not running.is_alive())
    with Running(traced(settings, collector)) as server:
        capfd.readouterr()
        failed = server.score(amount=FAILS)
        assert failed.status_code == 500
        trace_id = failed.json()["trace_id"]
        wait_until(lambda: bool(collector.named(BATCH)), PATIENCE_SECONDS)
    [batch] = collector.named(BATCH)
    assert batch.trace_id.hex() == trace_id
    assert (values(batch.attributes)["kept"], batch.status.code) == ("error", 2)
    assert f"trace_id={trace_id}" in capfd.readouterr().out


def test_other_requests_are_spans_of_their_callers_traces(
    settings: Settings, signer: Signer, collector: Collector
) -> None:
    caller = new_context()
    with Running(traced(settings, collector)) as server:
        raw = signer.bundle("1.0.1")
        assert server.push(raw, signer, **calling(caller)).status_code == 200
        refused = server.push(raw, signer, **calling(caller))
        assert refused.json()["trace_id"] == caller.trace_id
        wait_until(lambda: len(collector.named("POST /update_model")) == 2, PATIENCE_SECONDS)
        told = server.client.get("/metrics").text
    assert 'understudy_traces_kept_total{reason="caller"} 2.0' in told
    assert 'understudy_traces_dropped_total{reason="pipe"} 0.0' in told
    spans = collector.named("POST /update_model")
    assert {span.trace_id.hex() for span in spans} == {caller.trace_id}
    assert {values(span.attributes)["http.response.status_code"] for span in spans} == {200, 409}


def test_without_a_collector_a_callers_trace_is_in_problems_and_no_process_is_started(
    settings: Settings,
) -> None:
    caller = new_context()
    with Running(settings) as server:
        found = server.client.get("/nowhere", headers=calling(caller)).json()
        assert found["trace_id"] == caller.trace_id
        assert "trace_id" not in server.client.get("/nowhere").json()
        assert server.service.tracing.pipe is None
        told = server.client.get("/metrics").text
        assert 'understudy_traces_kept_total{reason="error"} 0.0' in told


@pytest.mark.parametrize("mood", ["hangs", "fails", "is slow", "away"])
def test_a_collector_in_any_mood_changes_nothing_in_scoring(settings: Settings, mood: str) -> None:
    real: Mood = "hangs"
    if mood in {"fails", "is slow"}:
        real = "fails" if mood == "fails" else "is slow"
    with running_collector(real) as collector:
        if mood == "away":
            collector.url = "http://127.0.0.1:9"
        with Running(traced(settings, collector)) as server:
            headers = calling(new_context())
            for number in range(300):
                answer = server.client.post("/score", json={"amount": 1.0}, headers=headers)
                assert answer.status_code == 200, number
            server.drained()
            assert server.client.get("/readyz").status_code == 200
        assert not server.is_alive()


def test_no_service_imports_the_sdk_nor_what_sends_spans() -> None:
    """FastAPI imports OpenTelemetry's API, which does nothing without the SDK."""
    code = (
        "import sys, usecases, api.launch, api.serving, scheduler.main, scheduler.child\n"
        "usecases.load_serving(usecases.DEFAULT)\n"
        "heavy = ('opentelemetry.sdk', 'opentelemetry.exporter', 'requests')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "[]"


def test_rows_scored_together_share_a_batch_that_links_to_each_caller(
    settings: Settings, collector: Collector
) -> None:
    callers = [new_context() for _ in range(8)]
    with Running(traced(settings, collector)) as server:
        answers: list[dict[str, Any]] = [
            json.loads(body) for body in send_together(server, callers)
        ]
        assert len(answers) == len(callers)
        wait_until(lambda: len(collector.named("POST /score")) == len(callers), PATIENCE_SECONDS)
    linked = {link.trace_id.hex() for span in collector.named(BATCH) for link in span.links}
    assert linked == {caller.trace_id for caller in callers}
    batches = {(span.trace_id, span.span_id) for span in collector.named(BATCH)}
    for span in collector.named("POST /score"):
        assert {(link.trace_id, link.span_id) for link in span.links} <= batches
