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

from shared.connections import ConnectionPool, ConnectionState

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


class BoundedConnection(H11Protocol):
    """uvicorn's protocol on h11, which bounds heads; subclasses made for a server share `pool`.

    Attributes:
        heard_at: when it was made, or when its last answer was complete.
    """

    limits = ConnectionLimits()
    pool = ConnectionPool(limits.connections)
    heard_at = 0.0
    _paused_at: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.heard_at = self.loop.time()
        super().connection_made(transport)
        if not self.pool.admit(self):
            transport.write(_BUSY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.forget(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self.heard_at = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._paused_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_at = None
        super().resume_writing()

    @property
    def standing(self) -> ConnectionState:
        """`WAITING` while a whole request is answered to a caller that reads."""
        if self._paused_at is not None:
            return ConnectionState.UNREAD
        has_request = self.cycle is not None and not self.cycle.response_complete
        is_whole = has_request and not self.cycle.more_body
        return ConnectionState.WAITING if is_whole else ConnectionState.IDLE

    def look(self, now: float) -> None:
        if self._paused_at is not None:
            if now - self._paused_at > self.limits.unread_seconds:
                self.drop("its answer is not read")
        elif (
            now - self.heard_at > self.limits.request_seconds
            and self.standing is not ConnectionState.WAITING
        ):
            self.drop("it sends no whole request")

    def drop(self, reason: str = "others wait for its place") -> None:
        """Close it now, whatever is still to be sent."""
        address = self.client[0] if self.client else None
        # a browser connects ahead of time, so this is usual
        _log.info("connection_dropped", reason=reason, address=address)
        self.pool.forget(self)
        self.transport.abort()


def protocol_for(limits: ConnectionLimits) -> type[BoundedConnection]:
    """The protocol class of a server."""
    own: dict[str, Any] = {"limits": limits, "pool": ConnectionPool(limits.connections)}
    return cast(type[BoundedConnection], type("BoundedConnection", (BoundedConnection,), own))
