"""Layers around the application: names in logs, traces, pages of other origins, common headers.

A browser says which page a request comes from; programs do not, and are not checked. Credentials
are in headers that no foreign page can add, so the guard is for what is open: scoring and labels.
Pages of other origins change nothing there and write no rows.
"""

import re
import time
from collections.abc import Iterable
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.headers import BROWSER, COMMON, problem_headers
from api.http.problems import FOREIGN_ORIGIN, INTERNAL, Problem
from api.metrics import Metrics
from api.models.model_slot import ModelSlot
from api.tracing.tracers import RequestTracer
from shared.host_names import is_own_origin
from shared.tracing.spans import TraceContext, in_context, new_context, parse_traceparent

REQUEST_ID_HEADER = b"x-request-id"
_TRACEPARENT = b"traceparent"
# Request ids that are safe in a response header and in a log line.
_USABLE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_FAILED = 400
_log = structlog.get_logger()
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Sec-Fetch-Site of the service's own pages, and of an address typed by a person.
_OWN_SITES = frozenset({b"same-origin", b"none"})


def request_fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """`request_id`, as it was sent or made here, and `trace_id` where the caller names a trace."""
    fields = {"request_id": ""}
    for name, value in headers:
        if name == REQUEST_ID_HEADER and _USABLE_ID.fullmatch(value):
            fields["request_id"] = value.decode("ascii")
        elif name == _TRACEPARENT and (context := parse_traceparent(value)):
            fields["trace_id"] = context.trace_id
    fields["request_id"] = fields["request_id"] or uuid4().hex
    return fields


class RequestContext:
    """The outermost layer: binds the fields for every line of a request.

    A failure answers with the id, by which its lines are found; so does the fast path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = request_fields(scope["headers"])
        line = (REQUEST_ID_HEADER, fields["request_id"].encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= _FAILED:
                message = {**message, "headers": [*message.get("headers", ()), line]}
            await send(message)

        with structlog.contextvars.bound_contextvars(**fields):
            await self._app(scope, receive, send_with_id)


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
        if name == _TRACEPARENT:
            return parse_traceparent(value)
    return None


def _name(scope: Scope) -> str:
    """The route with its parameters unfilled; a path that no route has could be anything."""
    route = scope.get("route")
    path = scope["path"] if scope.get("raw_route") else getattr(route, "path", "unknown")
    return f"{scope['method']} {path}"


class OriginGuard:
    """Answers 403 to what a page of another origin sends, unless that origin was named."""

    def __init__(
        self, app: ASGIApp, origins: Iterable[str], models: ModelSlot, metrics: Metrics
    ) -> None:
        self._app = app
        self._named = frozenset(origin.strip().lower().encode() for origin in origins)
        self._models = models
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in _READING or not self._is_foreign(scope["headers"]):
            await self._app(scope, receive, send)
        else:
            await self._refuse(scope, send)

    def _is_foreign(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        origins, sites, host = [], [], b""
        for name, value in headers:
            if name == b"origin":
                origins.append(value.lower())
            elif name == b"sec-fetch-site":
                sites.append(value.lower())
            elif name == b"host":
                host = value.lower()
        if any(origin not in self._named and not is_own_origin(origin, host) for origin in origins):
            return True
        return not origins and any(site not in _OWN_SITES for site in sites)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        started = time.perf_counter()
        _log.warning("foreign_origin_refused", path=scope["path"])
        problem = Problem(
            FOREIGN_ORIGIN, "CORS_ORIGINS: add the page's origin if its visitors are to do this"
        )
        body = problem.render()
        headers = problem_headers(problem, self._models.version_header)
        headers.append((b"content-length", b"%d" % len(body)))
        status = problem.kind.status
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._metrics.route("unknown").answered(status, time.perf_counter() - started)


class AnswerLayer:
    """Adds the live version, counts answers, and turns uncaught exceptions into a 500 problem."""

    def __init__(self, app: ASGIApp, models: ModelSlot, metrics: Metrics) -> None:
        self._app = app
        self._models = models
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 0

        async def send_complete(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Model-Version", self._models.version)
                for name, value in (*COMMON, *BROWSER):
                    headers.setdefault(name.decode(), value.decode())
            await send(message)

        try:
            await self._app(scope, receive, send_complete)
        except Exception:  # noqa: BLE001 - becomes a logged 500
            _log.exception("request_failed", path=scope["path"])
            if status == 0:
                status = INTERNAL.status
                await self._fail(send)
        self._metrics.route(_template(scope)).answered(status, time.perf_counter() - started)

    async def _fail(self, send: Send) -> None:
        problem = Problem(INTERNAL, "the request could not be answered")
        headers = problem_headers(problem, self._models.version_header)
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": problem.render()})


def _template(scope: Scope) -> str:
    """The route's path with its parameters unfilled: one time series a route."""
    return str(getattr(scope.get("route"), "path", "unknown"))
