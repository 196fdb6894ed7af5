"""Headers of every answer, and the outermost layer, which adds them."""

import time
from collections.abc import Iterable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import INTERNAL, MEDIA_TYPE, Problem
from api.metrics import Metrics
from api.models.model_slot import ModelSlot

_log = structlog.get_logger()
RawHeaders = list[tuple[bytes, bytes]]

# Decisions about people must not be cached, and browsers must not guess the media type.
COMMON: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
# Further headers for browsers, on every response but a scored row: no page may frame, embed
# or run it, and links send no Referer.
BROWSER: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
JSON_HEADERS: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"), *COMMON)


def problem_headers(problem: Problem, version: bytes) -> RawHeaders:
    """Headers of a problem, for answers that are made without a framework."""
    own = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return [
        (b"content-type", MEDIA_TYPE.encode()),
        *COMMON,
        *BROWSER,
        (b"x-model-version", version),
        *own,
    ]


def rendered(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as the lines of an answer's head."""
    return b"".join([b"".join((name, b": ", value, b"\r\n")) for name, value in headers])


def no_version() -> bytes:
    """The default of the version header: no version is live, or none is known here."""
    return b"none"


def last_answer(problem: Problem, version: bytes, common: Iterable[tuple[bytes, bytes]]) -> bytes:
    """All of a connection's last answer but its first line."""
    body = problem.render()
    own = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    return rendered([*common, *problem_headers(problem, version), *own]) + b"\r\n" + body


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
