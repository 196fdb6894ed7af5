"""The accepting worker's side: one persistent connection to each other worker, with many calls.

A call waits for a worker that is down until its successor is there, for a bounded time; what is in
flight when a worker dies is sent again if every row has its own id, and fails otherwise, because it
may have been scored.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import structlog

from api.workers.peers.wire import (
    ALIVE,
    ANSWER,
    CALL,
    Frame,
    FrameError,
    FrameReader,
    encoded,
    short_path,
)

_log = structlog.get_logger()
# Wait for the first connection: workers start together, some more slowly.
FIRST_SECONDS = 10.0
# At most one retry: a request in flight may be the cause of a worker's death.
_MAX_SENDS = 2
# Share of the timeout after which the other side refuses an unread call: its caller is about
# to give up.
_READ_WITHIN = 0.8
# Longest wait for a reply, even while the other side sends heartbeats.
LONGEST_SECONDS = 60.0
MAX_WAITING_BYTES = 32 * 1024 * 1024
_LOOK_SECONDS = 0.1
_RETRY_SECONDS = 0.05


@dataclass(slots=True)
class Call:
    """One request to another worker.

    Attributes:
        is_repeatable: sending it twice has the effect of once.
        answered: takes the status, the header lines and the body.
        given_up: called instead, when there is no answer in time.
    """

    operation: int
    context: bytes
    body: bytes
    is_repeatable: bool
    answered: Callable[[int, bytes, bytes], None]
    given_up: Callable[[], None]
    began: float = 0.0
    waits_since: float = 0.0
    is_sent: bool = False
    sends: int = 0


class PeerLink(asyncio.Protocol):
    """Calls to one worker; everything runs on the event loop that `open` was called on."""

    def __init__(
        self, number: int, path: Path, wait_seconds: float, count_given_up: Callable[[], None]
    ) -> None:
        self.number = number
        self._wait_seconds = wait_seconds
        self._count_given_up = count_given_up
        self._path = path
        self._loop: asyncio.AbstractEventLoop | None = None
        # connected; usable after the first heartbeat of the other side
        self._opened: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._reader = FrameReader()
        self._waiting: dict[int, Call] = {}
        self._waiting_bytes = 0
        self._next = 0
        self._outbox: list[bytes] = []
        self._heard_at = 0.0
        self._looks = False
        self._was_connected = self._gave_up = False

    @property
    def is_silent(self) -> bool:
        """True if the latest call was given up or could not be sent."""
        return self._gave_up or (self._transport is None and bool(self._waiting))

    @property
    def waiting(self) -> int:
        """Calls without an answer."""
        return len(self._waiting)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def close(self) -> None:
        """Give up whatever waits."""
        for number in list(self._waiting):
            self._give_up(number)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._opened is not None:
            self._opened.close()
        self._loop = None

    def call(self, call: Call) -> None:
        """Send it, now or when the other worker is there; it is answered or given up later."""
        loop = self._loop
        if loop is None or self._waiting_bytes + len(call.body) > MAX_WAITING_BYTES:
            self._count_given_up()
            call.given_up()
            return
        self._next += 1
        call.began = call.waits_since = time.monotonic()
        self._waiting[self._next] = call
        self._waiting_bytes += len(call.body)
        if not self._looks:
            self._looks = True
            loop.call_later(_LOOK_SECONDS, self._look)
        if self._transport is not None:
            self._send(self._next, call, loop)
        elif self._connecting is None:
            self._connecting = loop.create_task(self._connect(loop))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opened = cast(asyncio.Transport, transport)
        self._reader = FrameReader()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = self._opened = None
        self._outbox = []
        now, in_flight = time.monotonic(), False
        for number, call in list(self._waiting.items()):
            if not call.is_sent:
                continue
            if call.is_repeatable and call.sends < _MAX_SENDS:
                call.is_sent, call.waits_since, in_flight = False, now, True
            else:
                self._give_up(number)
        if in_flight and self._loop is not None and self._connecting is None:
            self._connecting = self._loop.create_task(self._connect(self._loop))

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        self._gave_up = False
        if self._transport is None:
            self._become_usable()
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except FrameError as error:
            _log.error("peer_speaks_another_format", peer=self.number, error=str(error))
            if self._opened is not None:
                self._opened.close()

    def _become_usable(self) -> None:
        """Send what waits: the process behind the socket is alive."""
        self._transport, self._was_connected = self._opened, True
        if self._loop is None:
            return
        for number, call in self._waiting.items():
            if not call.is_sent:
                self._send(number, call, self._loop)

    def _take(self, frame: Frame) -> None:
        if frame.kind == ALIVE:
            return
        if frame.kind == ANSWER:
            call = self._done(frame.call)
            if call is not None:
                call.answered(frame.number, frame.head, frame.body)
        else:
            self._give_up(frame.call)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        """Retry until a live process listens there, or no call waits any more."""
        try:
            while self._waiting and self._transport is None:
                await self._open(loop)
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._connecting = None

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._opened is None:
            with suppress(OSError), short_path(self._path) as address:
                await loop.create_unix_connection(lambda: self, address)

    def _send(self, number: int, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        call.is_sent = True
        call.sends += 1
        if not self._outbox:
            loop.call_soon(self._flush)
        expires_ns = time.monotonic_ns() + int(self._wait_seconds * _READ_WITHIN * 1e9)
        frame = encoded(
            CALL, number, call.operation, call.context, call.body, expires_ns=expires_ns
        )
        self._outbox.append(frame)

    def _flush(self) -> None:
        frames, self._outbox = self._outbox, []
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))

    def _look(self) -> None:
        """Give up calls whose worker has been silent for too long."""
        now = time.monotonic()
        patience = self._wait_seconds
        if not self._was_connected:
            patience = max(patience, FIRST_SECONDS)
        for number, call in list(self._waiting.items()):
            heard = self._heard_at if call.is_sent else 0.0
            silent = now - max(call.waits_since, heard) > patience
            if silent or now - call.began > LONGEST_SECONDS:
                self._give_up(number)
        self._looks = bool(self._waiting) and self._loop is not None
        if self._looks and self._loop is not None:
            self._loop.call_later(_LOOK_SECONDS, self._look)

    def _give_up(self, number: int) -> None:
        call = self._done(number)
        if call is not None:
            self._gave_up = True
            self._count_given_up()
            call.given_up()

    def _done(self, number: int) -> Call | None:
        call = self._waiting.pop(number, None)
        if call is not None:
            self._waiting_bytes -= len(call.body)
        return call
