"""The outermost layer of ASGI requests: their trace context, and their spans by the tail rule."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.row_metrics import BUCKETS
from api.tracing.tail import LastMinute, TailSampler
from shared.tracing.context import TraceContext, in_context, new_context, parse_traceparent
from shared.tracing.pipe import SpanSink
from shared.tracing.spans import EpochInstants, Span

_HEADER = b"traceparent"
_FAILED = 500


class RequestTracer:
    """Decides at the end of each request outside the fast path."""

    def __init__(
        self, spans: SpanSink, sampler: TailSampler, metrics: Metrics, worker: int = 0
    ) -> None:
        self._spans = spans
        self._sampler = sampler
        self._metrics = metrics
        self._worker = worker
        self._minutes: dict[str, LastMinute] = {}

    def end(
        self,
        name: str,
        context: TraceContext,
        parent: TraceContext | None,
        *,
        began: float,
        status: int,
    ) -> None:
        """The request is answered; 0: its caller has gone."""
        now = time.perf_counter()
        is_slow = self._minute_of(name).is_slow(now - began, now)
        is_sampled = parent is not None and parent.is_sampled
        why = self._sampler.why(now, 1, status >= _FAILED, is_sampled, is_slow)
        if why is None:
            return
        ns = EpochInstants().ns
        span = Span(
            name,
            context,
            ns(began),
            ns(now),
            None if parent is None else parent.span_id,
            "server",
            {"http.response.status_code": status, "kept": why, "worker": self._worker},
            error=f"status {status}" if status >= _FAILED else None,
        )
        self._spans.keep([span])

    def _minute_of(self, name: str) -> LastMinute:
        if name not in self._minutes:
            counts = self._metrics.route(name.partition(" ")[2]).buckets
            self._minutes[name] = LastMinute(BUCKETS, counts)
        return self._minutes[name]


class TracingLayer:
    """Puts a request's context in force; without a tracer only where its caller sent one."""

    def __init__(self, app: ASGIApp, tracer: RequestTracer | None) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parent = _caller_of(scope)
        if self._tracer is None:
            with in_context(parent):
                await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        context = new_context(is_sampled=False) if parent is None else parent.child()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with in_context(context):
            await self._app(scope, receive, send_noted)
        self._tracer.end(_name(scope), context, parent, began=began, status=status)


def _caller_of(scope: Scope) -> TraceContext | None:
    for name, value in scope["headers"]:
        if name == _HEADER:
            return parse_traceparent(value)
    return None


def _name(scope: Scope) -> str:
    """The route with its parameters unfilled; a path that no route has could be anything."""
    route = scope.get("route")
    path = scope["path"] if scope.get("raw_route") else getattr(route, "path", "unknown")
    return f"{scope['method']} {path}"
