"""An OTLP collector of our own: a real HTTP server that decodes what OpenTelemetry sends."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Mood = Literal["takes", "hangs", "fails", "is slow"]
_SLOW_SECONDS = 1.0


@dataclass
class Collector:
    """What arrived, by the name of its service; `mood` is how it answers.

    Attributes:
        calls: requests, also those that were not answered.
    """

    mood: Mood = "takes"
    url: str = ""
    calls: int = 0
    resources: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans) if span.name == name]

    def children_of(self, parent: Span) -> list[Span]:
        return [
            span
            for span in list(self.spans)
            if span.parent_span_id == parent.span_id and span.trace_id == parent.trace_id
        ]

    def traces(self) -> dict[str, list[Span]]:
        found: dict[str, list[Span]] = {}
        for span in list(self.spans):
            found.setdefault(span.trace_id.hex(), []).append(span)
        return found

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(values(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += scope.spans


def values(attributes: Any) -> dict[str, Any]:
    """Attributes of a span or a resource."""
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value")
        for one in attributes
    }


@contextmanager
def running_collector(mood: Mood = "takes") -> Iterator[Collector]:
    """A collector on a port of its own."""
    collector = Collector(mood)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.calls += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.mood == "hangs":
                collector.released.wait(60)
                return
            if collector.mood == "is slow":
                time.sleep(_SLOW_SECONDS)
            status = 500 if collector.mood == "fails" else 200
            if status == 200 and self.path == "/v1/traces":
                collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        collector.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
