"""Connections within bounds: how many, and how long one may take to send or to read.

uvicorn waits for a request that never comes, and for a reader that never reads, and refuses all
others once such connections fill its limit. Here each has a time limit, and where there are too
many, the one that holds a place for least makes room.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

_SWEEP_SECONDS = 0.5
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of the connections of the console.

    Attributes:
        connections: at once.
        request_seconds: from connecting, or the answer before, to the last byte of a request.
        unread_seconds: how long an answer may wait for a reader.
        head_bytes: request line and headers together.
    """

    connections: int = 200
    request_seconds: float = 20.0
    unread_seconds: float = 30.0
    head_bytes: int = 32 * 1024


class ConnectionPool:
    """The open connections of a process; looks at all of them twice a second."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: set[BoundedConnection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, connection: "BoundedConnection") -> bool:
        """Take one in; beyond the limit in the place of one that is not being answered."""
        if len(self._open) >= self.limits.connections:
            idle = [one for one in self._open if not one.is_answering]
            if not idle:
                return False
            min(idle, key=lambda one: one.since).drop("others wait for its place")
        self._open.add(connection)
        if self._timer is None:
            self._look_soon()
        return True

    def forget(self, connection: "BoundedConnection") -> None:
        self._open.discard(connection)

    def _look_soon(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            connection.look(now)
        if self._open:
            self._look_soon()


class BoundedConnection(H11Protocol):
    """uvicorn's protocol on h11, which bounds heads; subclasses made for a server share `pool`.

    Attributes:
        since: when it was made, or when its last answer was complete.
    """

    pool = ConnectionPool(ConnectionLimits())
    since = 0.0
    _paused_at: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.since = self.loop.time()
        super().connection_made(transport)
        if not self.pool.admit(self):
            transport.write(_BUSY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.forget(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._paused_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_at = None
        super().resume_writing()

    @property
    def is_answering(self) -> bool:
        """True while a whole request is answered to a caller that reads."""
        return self._has_request and not self.cycle.more_body and self._paused_at is None

    @property
    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def look(self, now: float) -> None:
        """Drop it, if it has waited too long."""
        limits = self.pool.limits
        if self._paused_at is not None:
            if now - self._paused_at > limits.unread_seconds:
                self.drop("its answer is not read")
        elif not self.is_answering and now - self.since > limits.request_seconds:
            self.drop("it sends no whole request")

    def drop(self, reason: str) -> None:
        """Close it now, whatever is still to be sent."""
        address = self.client[0] if self.client else None
        # a browser connects ahead of time, so this is usual
        _log.info("connection_dropped", reason=reason, address=address)
        self.pool.forget(self)
        self.transport.abort()


def protocol_for(limits: ConnectionLimits) -> type[BoundedConnection]:
    """The protocol class of a server."""
    own: dict[str, Any] = {"pool": ConnectionPool(limits)}
    return cast(type[BoundedConnection], type("BoundedConnection", (BoundedConnection,), own))
