"""The exporter process, over a real pipe and to a real HTTP server."""

import os
import time

from shared.tracing.pipe import InheritedPipe, SpanPipe
from shared.tracing.spans import Span, new_context
from tests.api.server import wait_until
from tests.support.collector import running_collector, values

PATIENCE_SECONDS = 60


def span(name: str = "work", **more: str) -> Span:
    return Span(name, new_context(), 1_000_000_000, 2_000_000_000, attributes=more)


def test_a_span_arrives_as_it_was_with_the_service_that_it_is_of() -> None:
    with running_collector() as collector:
        pipe = SpanPipe("api", collector.url)
        pipe.start()
        parent, linked = new_context(), new_context()
        sent = Span("work", parent.child(), 10**18, 10**18 + 5, parent.span_id, "server",
                    {"rows": 3, "why": "a test"}, [linked], "it failed")  # fmt: skip
        assert pipe.keep([sent])
        wait_until(lambda: bool(collector.spans), PATIENCE_SECONDS)
        pipe.close()
    [found] = collector.spans
    assert (found.name, found.trace_id.hex()) == ("work", parent.trace_id)
    assert found.parent_span_id.hex() == parent.span_id
    assert found.end_time_unix_nano - found.start_time_unix_nano == 5
    assert values(found.attributes) == {"rows": 3, "why": "a test"}
    assert [link.trace_id.hex() for link in found.links] == [linked.trace_id]
    assert (found.status.code, found.status.message) == (2, "it failed")
    assert collector.resources[0]["service.name"] == "understudy-api"


def test_what_was_kept_before_the_end_still_arrives() -> None:
    with running_collector() as collector:
        pipe = SpanPipe("api", collector.url)
        pipe.start()
        assert pipe.keep([span("ready")])
        wait_until(lambda: bool(collector.spans), PATIENCE_SECONDS)
        assert all(pipe.keep([span(f"work {number}")]) for number in range(20))
        pipe.close()
        assert len(collector.spans) == 21
    assert pipe.pid is None


def test_a_pipe_that_is_full_drops_whole_lines_and_never_waits() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    pipe = InheritedPipe(writing)
    began, sent = time.monotonic(), 0
    while pipe.dropped < 100:
        sent += 1
        pipe.keep([span(f"work {sent}", text="x" * (sent % 200))])
    assert time.monotonic() - began < 30
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        found = lines.read().splitlines()
    assert len(found) == pipe.kept == sent - pipe.dropped
    assert all(line.startswith(b"[{") and line.endswith(b"}]") for line in found)


def test_a_line_that_could_be_torn_is_dropped() -> None:
    reading, writing = os.pipe()
    pipe = InheritedPipe(writing)
    assert not pipe.keep([span("x" * 250, text="y" * 250) for _ in range(20)])
    assert pipe.keep([span()])
    os.close(writing)
    os.close(reading)


def test_an_exporter_that_is_gone_costs_spans_only() -> None:
    with running_collector() as collector:
        pipe = SpanPipe("api", collector.url)
        pipe.start()
        assert pipe.pid is not None
        os.kill(pipe.pid, 9)
        wait_until(lambda: not pipe.keep([span()]), PATIENCE_SECONDS)
        assert pipe.dropped == 1
        pipe.close()


def test_a_collector_that_hangs_does_not_hold_the_end() -> None:
    with running_collector("hangs") as collector:
        pipe = SpanPipe("api", collector.url)
        pipe.start()
        assert pipe.keep([span()])
        wait_until(lambda: collector.calls > 0, PATIENCE_SECONDS)
        began = time.monotonic()
        pipe.close()
        assert time.monotonic() - began < 20
