"""The fallback of the fast protocol: uvicorn's own on h11, guarded through public interfaces.

asyncio reports what arrives and whether answers are read; the application reports that a request is
complete and answered. Together they bound connections, heads, waiting and bodies without access to
private state.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from starlette.types import Receive, Scope, Send

from api.http.connections import Bounds, Connections
from api.http.headers import last_answer, no_version
from api.http.heads import HeadRefused
from api.http.problems import BUSY, TOO_SLOW, Problem
from shared.connections import ConnectionState
from shared.host_names import Hosts

_AGAIN = {"Retry-After": "1"}
Client = tuple[str, int]


class GuardedProtocol(asyncio.Protocol):
    """One connection; subclasses made by `guarded_for` share its pool.

    Attributes:
        by_client: connections by the client address that the application sees.
        heard_at: the time of the last received bytes.
    """

    pool = Connections(Bounds())
    hosts = Hosts()
    by_client: dict[Client, "GuardedProtocol"]
    version: Callable[[], bytes] = staticmethod(no_version)
    inner: Callable[..., asyncio.Protocol]

    def __init__(self, *args: Any, **options: Any) -> None:
        self._inner = type(self).inner(*args, **options)
        self.heard_at = self._since = 0.0
        self._client: Client | None = None
        self._has_bytes = self._has_asked = self._is_answering = self._is_refused = False
        self._counted_bytes = 0
        self._paused_at: float | None = None
        self._closing_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._now = asyncio.get_running_loop().time
        self.heard_at = self._since = self._now()
        if not self.pool.admit(self):
            self._refuse(Problem(BUSY, "too many connections", headers=_AGAIN))
            return
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._client = (str(peer[0]), int(peer[1]))
            self.by_client[self._client] = self
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._now()
        if self._is_refused:
            return
        if not self._has_bytes:
            self._has_bytes, self._since = True, self.heard_at
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._is_refused else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.forget(self)
        self._release()
        if self._client is not None and self.by_client.get(self._client) is self:
            del self.by_client[self._client]
        if self._client is not None or not self._is_refused:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._paused_at = self._now()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._paused_at = None
        self._inner.resume_writing()

    # reported by the application

    def asked(self) -> None:
        """A request's head is whole."""
        self._is_answering = self._has_asked = True

    def answered(self) -> None:
        """Its answer is complete."""
        self._is_answering = self._has_bytes = False
        self._since = self._now()
        self._release()

    def meter(self, size: int) -> None:
        """Count a part of a body.

        Raises:
            Refusal: all bodies together have no room for it.
        """
        self._counted_bytes += size
        self.pool.body_bytes += size
        bounds = self.pool.bounds
        if (
            self.pool.body_bytes > bounds.body_buffer_bytes
            and self._counted_bytes > bounds.body_part_bytes
        ):
            raise HeadRefused(BUSY, "other large bodies are being read; send this one again")

    # read by the pool

    @property
    def standing(self) -> ConnectionState:
        if self._is_refused:
            return ConnectionState.REFUSED
        if not self._has_asked:
            return ConnectionState.UNPROVEN
        if self._paused_at is not None:
            return ConnectionState.UNREAD
        if self._is_answering:
            return ConnectionState.WAITING
        return ConnectionState.SENDING if self._has_bytes else ConnectionState.IDLE

    def look(self, now: float) -> None:
        bounds = self.pool.bounds
        if self._is_refused or self._transport.is_closing():
            self._closing_at = self._closing_at or now
            if now - self._closing_at > bounds.linger_seconds:
                self.drop()
        elif self._paused_at is not None:
            if now - self._paused_at > bounds.unread_seconds:
                self.pool.refused["answers-unread"] += 1
                self.drop()
        elif not self._is_answering and now - self._since > bounds.head_seconds:
            self._give_up()

    def drop(self) -> None:
        self._transport.abort()

    def _give_up(self) -> None:
        if self._has_bytes:
            self._refuse(Problem(TOO_SLOW, "send requests faster, or in smaller parts"))
        elif not self._has_asked:
            self.pool.refused["silent"] += 1
            self._transport.close()

    def _refuse(self, problem: Problem) -> None:
        self._is_refused = True
        self.pool.refused[problem.kind.code] += 1
        status = HTTPStatus(problem.kind.status)
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        self._transport.write(line + last_answer(problem, type(self).version(), ()))
        self._transport.close()

    def _release(self) -> None:
        self.pool.body_bytes -= self._counted_bytes
        self._counted_bytes = 0


def guarded_for(
    bounds: Bounds, hosts: Hosts | None = None, version: Callable[[], bytes] = no_version
) -> type[GuardedProtocol]:
    """The protocol class of a server."""
    own: dict[str, Any] = {
        "pool": Connections(bounds),
        "hosts": hosts or Hosts(),
        "by_client": {},
        "version": staticmethod(version),
        "inner": staticmethod(_uvicorns_own()),
    }
    return cast(type[GuardedProtocol], type("GuardedProtocol", (GuardedProtocol,), own))


def _uvicorns_own() -> Callable[..., asyncio.Protocol]:
    """The class behind uvicorn's option `--http h11`."""

    async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        """A placeholder application: only the protocol class is used."""

    config = uvicorn.Config(nothing, http="h11", ws="none", log_config=None)
    config.load()
    return config.http_protocol_class
