"""A run as a trace: its root, its steps, its push, and its lines of the log."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from scheduler.child_runner import keep_root
from shared.tables.runs import RunStatus, get_run, list_runs, request_run
from shared.tracing.recording import recording, span
from shared.tracing.spans import Span, current_context, new_context, parse_traceparent
from tests.api.server import wait_until
from tests.scheduler.processes import start
from tests.scheduler.standin_api import StandInApi, standin_api
from tests.support.collector import Collector, running_collector, values

PATIENCE_SECONDS = 90


class KeptSpans:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def keep(self, spans: Any) -> bool:
        self.spans += spans
        return True

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def api() -> Iterator[StandInApi]:
    with standin_api() as server:
        yield server


def test_work_within_work_is_a_child_and_its_error_is_told() -> None:
    kept, root = KeptSpans(), new_context()

    def fail() -> None:
        with span("outer"), span("inner") as inner:
            inner.attributes["rows"] = 3
            raise OSError("no disk")

    with recording(kept, root):
        with pytest.raises(OSError, match="no disk"):
            fail()
        assert current_context() == root
    inner, outer = kept.spans
    assert (inner.name, inner.parent_id) == ("inner", outer.context.span_id)
    assert (outer.parent_id, outer.context.trace_id) == (root.span_id, root.trace_id)
    assert (inner.error, outer.error) == ("OSError: no disk", "OSError: no disk")
    assert inner.attributes == {"rows": 3}


def test_outside_of_a_trace_nothing_is_recorded() -> None:
    with span("alone") as alone:
        alone.attributes["rows"] = 1
    kept = KeptSpans()
    with recording(kept, None), span("alone"):
        pass
    assert kept.spans == []


def test_the_root_tells_how_the_run_ended(engine: Engine) -> None:
    run = get_run(engine, request_run(engine, "retraining", 1, "operator"))
    assert run is not None
    kept, context = KeptSpans(), new_context()
    keep_root(kept, context, 0.0, run)
    [root] = kept.spans
    assert (root.name, root.parent_id, root.error) == ("run retraining", None, None)
    assert root.attributes["run.requested_by"] == "operator"


def is_over(collector: Collector, roots: int) -> bool:
    return len(collector.named("run retraining")) >= roots


@pytest.mark.slow
def test_a_run_is_one_trace_from_its_claim_to_its_push(
    tmp_path: Path, engine: Engine, api: StandInApi
) -> None:
    with running_collector() as collector:
        scheduler = start(
            tmp_path, engine, api, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, TRAINING="dies",
            RUN_ATTEMPTS="2",
        )  # fmt: skip
        try:
            # the first attempt kills its own process, the second is refused by the stand-in
            scheduler.wait_for(lambda: latest_is_refused(engine))
            wait_until(lambda: is_over(collector, 2), PATIENCE_SECONDS)
        finally:
            assert scheduler.stop() == 0
    first, second = sorted(
        collector.named("run retraining"), key=lambda root: root.start_time_unix_nano
    )
    assert first.trace_id != second.trace_id
    assert values(second.attributes)["run.code"] == "push_refused"
    assert "step train" in {child.name for child in collector.children_of(second)}
    for root in (first, second):
        children = collector.children_of(root)
        assert len({child.name for child in children}) >= 2
        assert all(child.start_time_unix_nano >= root.start_time_unix_nano for child in children)
    [push] = [headers for path, headers, _ in api.received if path == "/update_model"]
    context = parse_traceparent(push["traceparent"])
    assert context is not None
    assert context.is_sampled
    assert context.trace_id == second.trace_id.hex()
    assert context.span_id in {child.span_id.hex() for child in collector.children_of(second)}
    log = scheduler.log_path.read_text().splitlines()
    lines = [json.loads(line) for line in log if line.startswith("{")]
    steps = [line for line in lines if line["event"] == "step"]
    assert {line["trace_id"] for line in steps} == {first.trace_id.hex(), second.trace_id.hex()}
    assert all("run_id" in line for line in steps)


def latest_is_refused(engine: Engine) -> bool:
    return any(
        run.status is RunStatus.FAILED and run.code == "push_refused" for run in list_runs(engine)
    )


@pytest.mark.slow
def test_a_collector_that_hangs_does_not_hold_a_run_nor_the_end(
    tmp_path: Path, engine: Engine, api: StandInApi
) -> None:
    with running_collector("hangs") as collector:
        scheduler = start(tmp_path, engine, api, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        scheduler.wait_for(lambda: "run_ended" in scheduler.events())
        assert scheduler.stop() == 0
