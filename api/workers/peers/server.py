"""The owner's side: takes rows from other workers and sends the answers back.

While a request is unanswered a heartbeat is sent every half second, so that a slow worker can be
distinguished from one that hangs.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

import structlog

from api.workers.peers.frames import (
    ALIVE,
    ANSWER,
    CALL,
    EXPIRED,
    Frame,
    FrameError,
    FrameReader,
    encoded,
)
from native.linux import peer_is_ours

_log = structlog.get_logger()
BEAT_SECONDS = 0.5

Answer = Callable[[int, bytes, bytes], None]
"""Takes a status, header lines without the length, and a body."""
Operation = Callable[[bytes, bytes, Answer], None]
"""Takes a context, a body and where the answer goes; returns at once and never raises."""


class PeerConnection(asyncio.Protocol):
    """One other worker that sends calls here."""

    def __init__(self, operations: Sequence[Operation], connections: set["PeerConnection"]) -> None:
        self._operations = operations
        self._connections = connections
        self._reader = FrameReader()
        self._outbox: list[bytes] = []
        self._beats = False
        self.unanswered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        if not peer_is_ours(transport.get_extra_info("socket")):
            _log.warning("peer_of_another_user_refused")
            transport.close()
            return
        self._connections.add(self)
        # A peer sends nothing before it has read this: a socket may still accept connections for a
        # process that is being killed.
        self._transport.write(encoded(ALIVE))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except FrameError as error:
            _log.error("peer_speaks_another_format", error=str(error))
            self._transport.close()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _take(self, frame: Frame) -> None:
        if frame.kind != CALL or frame.number >= len(self._operations):
            raise FrameError(f"no operation {frame.number}")
        if time.monotonic_ns() > frame.expires_ns:
            # its caller has given up
            self._send(encoded(EXPIRED, frame.call))
            return
        self.unanswered += 1
        if not self._beats:
            self._beats = True
            self._loop.call_later(BEAT_SECONDS, self._beat)
        call = frame.call

        def answer(status: int, headers: bytes, body: bytes) -> None:
            self.unanswered -= 1
            self._send(encoded(ANSWER, call, status, headers, body))

        self._operations[frame.number](frame.head, frame.body, answer)

    def _beat(self) -> None:
        self._beats = bool(self.unanswered) and not self._transport.is_closing()
        if self._beats:
            self._send(encoded(ALIVE))
            self._loop.call_later(BEAT_SECONDS, self._beat)

    def _send(self, frame: bytes) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(frame)

    def _flush(self) -> None:
        frames, self._outbox = self._outbox, []
        if frames and not self._transport.is_closing():
            self._transport.write(b"".join(frames))
