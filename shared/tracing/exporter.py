"""`python -m shared.tracing.exporter PARENT_PID SERVICE`: spans from standard input to a collector.

The only process that imports OpenTelemetry's SDK. It reads at once and sends in the background: a
collector that is slow or away fills a bounded queue, whose overflow is dropped. The SDK's own
settings (OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES and so on) apply.
"""

import os
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.logs import configure_logging
from shared.settings import LogSettings, load
from shared.system.child_processes import end_with_parent
from shared.tracing.pipe import CLOSE_SECONDS
from shared.tracing.spans import Span, TraceContext, decode
from shared.version import VERSION

_QUEUE_SPANS = 8_192
_SEND_AFTER_MS = 1_000
_TIMEOUT_SECONDS = 5.0
_NICE = 10
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}
_SCOPE = InstrumentationScope("understudy", VERSION)


def main() -> int:
    """Read to the end of standard input, then send what is left for a moment."""
    end_with_parent(int(sys.argv[1]), by_kernel=False)
    # lower priority than the scoring process
    os.nice(_NICE)
    service = sys.argv[2]
    settings = load(LogSettings)
    configure_logging(service, settings.log_level, settings.log_format)
    processor = BatchSpanProcessor(
        _exporter(), max_queue_size=_QUEUE_SPANS, schedule_delay_millis=_SEND_AFTER_MS
    )
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", f"understudy-{service}"),
            "service.version": VERSION,
        }
    )
    for span in _spans(sys.stdin.buffer):
        processor.on_end(_readable(span, resource))
    # A hanging collector must not delay the shutdown of the service.
    ending = threading.Thread(target=processor.shutdown, daemon=True)
    ending.start()
    ending.join(CLOSE_SECONDS)
    sys.stdout.flush()
    os._exit(0)


def _exporter() -> OTLPSpanExporter:
    session = requests.Session()
    # no redirects: headers may hold credentials, which are for this address only
    session.max_redirects = 0
    timeout = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") or os.environ.get(
        "OTEL_EXPORTER_OTLP_TIMEOUT"
    )
    return OTLPSpanExporter(session=session, timeout=None if timeout else _TIMEOUT_SECONDS)


def _spans(lines: BinaryIO) -> Iterator[Span]:
    for line in lines:
        try:
            yield from decode(line)
        except ValueError:
            continue


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    status = (
        Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error)
    )
    context = _context(span.context)
    parent = None
    if span.parent_id is not None:
        parent = _context(TraceContext(span.context.trace_id, span.parent_id))
    return ReadableSpan(
        span.name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=dict(span.attributes),
        links=[Link(_context(link)) for link in span.links],
        kind=_KINDS[span.kind],
        status=status,
        start_time=span.begin_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(context: TraceContext) -> SpanContext:
    return SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


if __name__ == "__main__":
    sys.exit(main())
