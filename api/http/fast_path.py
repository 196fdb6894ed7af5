"""The fast path: a plain scoring request skips ASGI; its body goes to a micro-batch.

A task, three coroutines and two messages cost as much as scoring a row. So a plain request - POST
to a scoring address, HTTP/1.1, keep-alive, JSON with an allowed Content-Length and sufficient
credentials - is handled here. Every other request, and each one that has to be refused for its
headers, falls back to uvicorn's own path to the same address.
"""

from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from api.http.bodies import is_json
from api.http.bounded import BoundedProtocol
from api.http.callers import Caller
from api.http.connections import Bounds, Connections
from api.http.fast_routes import FastRoute, FastRoutes, Headers
from api.http.headers import no_version, rendered
from api.http.problems import Problem
from shared.host_names import Hosts

_JSON = b"application/json"
_FEW_HEADERS = 32
# Headers that change the meaning of a request, or which origins may read its response.
_UNUSUAL = frozenset(
    {
        b"content-encoding",
        b"transfer-encoding",
        b"origin",
        b"sec-fetch-site",
        b"expect",
        b"upgrade",
    }
)

_TRACEPARENT = b"traceparent"
_NOTED = _UNUSUAL | {_TRACEPARENT}


class FastPathProtocol(BoundedProtocol):
    """uvicorn's protocol with a fast path; `protocol_for` makes subclasses with the routes."""

    routes = FastRoutes()
    _route: FastRoute | None = None
    # The caller, while a request is on the fast path.
    _caller: Caller
    # The trace context (W3C traceparent) that the caller sent.
    traceparent: bytes | None = None
    _body = b""
    # Headers of the request on the fast path; the next request gets a new list.
    asked: Headers = ()
    # True from the first byte of a request on the fast path to its response.
    _has_request = False
    # True while a request on the fast path waits for its micro-batch.
    _awaits_reply = False
    _ends = False

    def on_message_begin(self) -> None:
        self._begin()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self._route = route = self._fast_route()
        if route is None:
            self._fall_back()
        else:
            self._is_in_head, self._chunks, self._body_bytes = False, None, 0
            self._body, self.asked = b"", self.headers
            self._has_request = True

    def on_body(self, body: bytes) -> None:
        if self._route is None:
            super().on_body(body)
        else:
            self._body = self._body + body if self._body else body
            self._body_bytes = len(self._body)

    def on_message_complete(self) -> None:
        if self._route is None:
            super().on_message_complete()
        else:
            self._awaits_reply = self._is_whole = self._has_asked = True
            self._route.take(self._body, self._caller, self)

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Send an answer to the request that waits; `headers` are lines, without the length."""
        self._awaits_reply = self._has_request = False
        self.server_state.total_requests += 1
        if self._raw.is_closing():
            return
        length = b"content-length: %d\r\n\r\n" % len(body)
        start = (STATUS_LINE[status], _lines(self.server_state.default_headers), headers)
        self._raw.write(b"".join((*start, length, body)))
        if self._ends:
            self._raw.close()
        elif self.pipeline:
            self._begin_next()
        elif self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """One timer a connection, which looks when it was last heard of, not one a request."""
        self.timeout_keep_alive_task = None
        left = self.heard_at + self.timeout_keep_alive - self.loop.time()
        if self._has_request or left > 0:
            self._look_again_in(max(left, 1.0))
        else:
            super().timeout_keep_alive_handler()

    @property
    def _is_answering(self) -> bool:
        return self._awaits_reply or super()._is_answering

    @property
    def _is_answered_early(self) -> bool:
        return not self._has_request and super()._is_answered_early

    def refuse(self, problem: Problem) -> None:
        if self._awaits_reply:
            # responses are sent in the order of requests
            self.routes.flush()
        if self._awaits_reply:
            self._ends = True
        super().refuse(problem)
        self._has_request = self._awaits_reply

    def shutdown(self) -> None:
        if self._awaits_reply:
            self.routes.flush()
        if self._has_request:
            self._ends = True
        else:
            super().shutdown()

    def _fast_route(self) -> FastRoute | None:
        """The fast route of this request; None: it falls back to ASGI."""
        route = self.routes.by_url.get(self.url)
        if route is None or not self._is_plain() or not self._is_small_json(route):
            return None
        caller = route.admits(self.headers)
        if caller is None:
            return None
        self._caller = caller
        return route

    def _is_small_json(self, route: FastRoute) -> bool:
        self.traceparent = None
        length = kind = host = b""
        for name, value in self.headers:
            if name == b"content-length":
                length = value
            elif name == b"content-type":
                kind = value
            elif name == b"host":
                if host:
                    return False
                host = value
            elif name in _NOTED:
                if name != _TRACEPARENT:
                    return False
                self.traceparent = value
        return (
            (kind == _JSON or is_json(kind))
            and (host in self.hosts.known or self.hosts.allows(host))
            and length.isdigit()
            and int(length) <= route.limit_bytes
        )

    def _is_plain(self) -> bool:
        parser = self.parser
        return (
            # a client that pipelines requests must not hold the event loop
            not self._awaits_reply
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self._ends
            # a head in one piece with few lines cannot exceed the limits
            and not self._head_bytes
            and len(self.headers) < _FEW_HEADERS
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
        )

    def _fall_back(self) -> None:
        if self._awaits_reply:
            # responses are sent in the order of requests
            self.routes.flush()
        if self._awaits_reply:
            # another worker scores the row: uvicorn queues the requests behind it
            self.cycle = cast(RequestResponseCycle, _Unanswered())
        self._unset_keepalive_if_required()
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def _begin_next(self) -> None:
        """Start the request that uvicorn queued behind the one just answered."""
        self.flow.resume_reading()
        cycle, app = self.pipeline.pop()
        self._start_asgi_task(cycle, app)

    def _look_again_in(self, seconds: float) -> None:
        handler = self.timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(seconds, handler)


def protocol_for(
    routes: FastRoutes,
    bounds: Bounds | None = None,
    hosts: Hosts | None = None,
    version: Callable[[], bytes] = no_version,
) -> type[FastPathProtocol]:
    """The protocol class of a server; `version` is what refusals say that serves."""
    own: dict[str, Any] = {
        "routes": routes,
        "hosts": hosts or Hosts(),
        "pool": Connections(bounds or Bounds()),
        "version": staticmethod(version),
    }
    return cast(type[FastPathProtocol], type("FastPathProtocol", (FastPathProtocol,), own))


class _Unanswered:
    """Stands in for the previous request, while that has no answer yet."""

    response_complete = False


class _Lines:
    """The lines of a list of headers that is rebuilt once a second."""

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def __call__(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        if headers is not self._headers:
            self._headers, self._lines = headers, rendered(headers)
        return self._lines


_lines = _Lines()
