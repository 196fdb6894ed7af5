"""The HTTP stack of a process: the fast protocol, or the guarded one and its application."""

import asyncio
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.connections import Bounds, Connections
from api.http.fast_routes import FastRoutes
from api.http.guarded_protocol import GuardedProtocol, guarded_for
from api.http.headers import no_version, problem_headers
from api.http.heads import HeadRefused, check_head, check_host
from api.http.problems import TOO_SLOW, Problem
from native.catalogue import FAST_HTTP
from native.parts import Part
from shared.host_names import Hosts


class GuardedApp:
    """Checks a request before the application sees it, and its body while it does."""

    def __init__(self, app: ASGIApp, protocol: type[GuardedProtocol]) -> None:
        self._app = app
        self._protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client") if scope["type"] == "http" else None
        guard = None if client is None else self._protocol.by_client.get((client[0], client[1]))
        if guard is None:
            await self._app(scope, receive, send)
            return
        guard.asked()
        exchange = _Exchange(guard, scope, receive, send)
        try:
            exchange.check()
            await self._app(scope, exchange.receive, exchange.send)
        except HeadRefused as refusal:
            await exchange.refuse(refusal.problem)
        finally:
            guard.answered()


class _Exchange:
    """One request and its answer."""

    def __init__(self, guard: GuardedProtocol, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard = guard
        self._bounds = guard.pool.bounds
        self._scope = scope
        self._receive = receive
        self._send = send
        query = scope["query_string"]
        self._url: bytes = (scope.get("raw_path") or scope["path"].encode()) + (
            b"?" + query if query else b""
        )
        self._began = time.monotonic()
        self._body_bytes = 0
        self._is_read = self._has_begun = self._is_refused = False

    def check(self) -> None:
        """Raises Refusal."""
        headers = self._scope["headers"]
        check_head(self._url, headers, self._scope["http_version"], self._bounds)
        check_host(self._url, headers, self._guard.hosts)

    async def receive(self) -> Message:
        """The next part of the body, if it comes in time and there is room for it."""
        if self._is_refused:
            return {"type": "http.disconnect"}
        if self._is_read:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._seconds_left())
            self._count(message)
        except TimeoutError:
            return await self._refused(
                Problem(TOO_SLOW, "send requests faster, or in smaller parts")
            )
        except HeadRefused as refusal:
            return await self._refused(refusal.problem)
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """The application's answer, unless another one was given."""
        if self._is_refused:
            return
        self._has_begun = True
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem and end the connection; too late once an answer has begun."""
        if self._is_refused:
            return
        self._is_refused = True
        self._guard.pool.refused[problem.kind.code] += 1
        if self._has_begun:
            self._guard.drop()
            return
        body = problem.render()
        headers = [
            *problem_headers(problem, type(self._guard).version()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        status = problem.kind.status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _refused(self, problem: Problem) -> Message:
        await self.refuse(problem)
        return {"type": "http.disconnect"}

    def _seconds_left(self) -> float:
        """Seconds within which the next part of the body has to arrive."""
        bounds = self._bounds
        allowed = bounds.body_seconds + self._body_bytes / bounds.body_bytes_per_second
        left = self._began + allowed - time.monotonic()
        return max(0.001, min(left, bounds.body_seconds))

    def _count(self, message: Message) -> None:
        size = len(message.get("body", b""))
        self._is_read = not message.get("more_body", False)
        self._body_bytes += size
        if self._url not in self._bounds.unmetered:
            self._guard.meter(size)


def _as_it_is(app: ASGIApp) -> ASGIApp:
    return app


@dataclass(frozen=True, slots=True)
class HttpStack:
    """The configuration of a server's HTTP stack.

    Attributes:
        protocol: uvicorn's option `http`.
        wrap: the middleware around the application.
        incomplete_bytes: uvicorn's option for the largest head.
    """

    protocol: type[asyncio.Protocol]
    pool: Connections
    wrap: Callable[[ASGIApp], ASGIApp] = _as_it_is
    incomplete_bytes: int | None = None


def http_stack(
    routes: FastRoutes,
    bounds: Bounds,
    hosts: Hosts | None = None,
    version: Callable[[], bytes] = no_version,
    part: Part = FAST_HTTP,
) -> HttpStack:
    """The fast one where uvicorn is known; `version` is what refusals say that serves."""
    if part.in_use:
        from api.http.fast_path import protocol_for  # noqa: PLC0415 - only what is checked

        fast = protocol_for(routes, bounds, hosts, version)
        return HttpStack(fast, fast.pool)
    guarded = guarded_for(bounds, hosts, version)
    return HttpStack(
        guarded,
        guarded.pool,
        partial(GuardedApp, protocol=guarded),
        bounds.head_bytes,
    )
