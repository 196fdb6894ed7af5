"""Calls between workers: a socket on which this one answers, and a link to each other one.

While a call is unanswered its owner sends a heartbeat every half second, so that a slow worker can
be distinguished from one that hangs.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import structlog
from pydantic import BaseModel

from api.metrics import Metrics
from api.workers.file_watcher import identity_of
from api.workers.peers.link import Call, PeerLink
from api.workers.peers.ownership import Claims, Ownership
from api.workers.peers.wire import (
    ALIVE,
    ANSWER,
    CALL,
    EXPIRED,
    Frame,
    FrameError,
    FrameReader,
    encoded,
    listen,
    prepared,
)
from api.workers.run_dir import RunDir
from native.linux import peer_is_ours
from shared.errors import SettingsError
from shared.tables.transaction_store import TRANSACTIONS
from shared.usecase.rows import RowFields

_log = structlog.get_logger()
BEAT_SECONDS = 0.5

Answer = Callable[[int, bytes, bytes], None]
"""Takes a status, header lines without the length, and a body."""
Operation = Callable[[bytes, bytes, Answer], None]
"""Takes a context, a body and where the answer goes; returns at once and never raises."""
# At shutdown, time for peers whose calls are in progress.
_LEAVE_SECONDS = 3.0
_QUIET_SECONDS = 0.3
_LOOK_SECONDS = 1.0
_THREAD_SECONDS = 90.0


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


class PeerReply(NamedTuple):
    """Another worker's answer; None: it did not answer in time."""

    status: int
    headers: bytes
    body: bytes


class Peers:
    """Calls other workers, and answers theirs; only where there are several."""

    def __init__(
        self,
        run_dir: RunDir,
        request_model: type[BaseModel],
        wait_seconds: float,
        metrics: Metrics,
        fields: RowFields = TRANSACTIONS.fields,
    ) -> None:
        self.number = run_dir.number
        self.ownership = Ownership(run_dir.number, run_dir.total, request_model, fields)
        self._folder = run_dir.peers
        self.claims = Claims(self._folder / "claims", run_dir.number)
        others = (number for number in range(run_dir.total) if number != run_dir.number)
        given_up = metrics.peer_calls_given_up.inc
        self.links = {n: PeerLink(n, self._socket(n), wait_seconds, given_up) for n in others}
        self._connections: set[PeerConnection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        metrics.watch(
            "peer_calls_waiting", "Calls that wait for another worker", lambda: self.waiting
        )

    def prepare(self) -> None:
        """Make the folder and map the claims, before anything is decided.

        Raises:
            SettingsError: the run directory cannot be used.
        """
        prepared(self._folder)
        self.claims.open()

    async def open(self, operations: Sequence[Operation]) -> None:
        """Take calls, and make them from now on.

        Raises:
            SettingsError: there can be no socket.
        """
        self._loop = asyncio.get_running_loop()
        for link in self.links.values():
            link.open(self._loop)
        self._operations = operations
        await self._listen()
        self._keeper = self._loop.create_task(self._keep_listening())

    async def close(self) -> None:
        """Answer what others have asked for, then end."""
        for link in self.links.values():
            link.close()
        quiet = 0.0
        deadline = asyncio.get_running_loop().time() + _LEAVE_SECONDS
        while self._connections and quiet < _QUIET_SECONDS:
            asks = any(connection.unanswered for connection in self._connections)
            quiet = 0.0 if asks else quiet + 0.05
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        self._keeper.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        self._loop = None
        self._socket(self.number).unlink(missing_ok=True)
        self.claims.close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        operations, connections = self._operations, self._connections
        listener = listen(self._socket(self.number))
        self._server = await loop.create_unix_server(
            lambda: PeerConnection(operations, connections), sock=listener
        )
        self._listens_on = identity_of(self._socket(self.number))

    async def _keep_listening(self) -> None:
        """Open the socket and the claims again when the run directory was cleaned."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if identity_of(self._socket(self.number)) != self._listens_on:
                    await self._listen_again()
                self.claims.keep_shared()
            except (SettingsError, OSError) as error:
                _log.warning("peer_socket_lost", error=str(error))

    async def _listen_again(self) -> None:
        if self._server is not None:
            self._server.close()
        prepared(self._folder)
        await self._listen()
        _log.warning("peer_socket_opened_again", run_dir=str(self._folder.parent))

    async def ask(
        self, owner: int, operation: int, context: bytes, body: bytes, *, is_repeatable: bool
    ) -> PeerReply | None:
        """Another worker's answer; None when it does not answer in time."""
        future: asyncio.Future[PeerReply | None] = asyncio.get_running_loop().create_future()

        def answered(status: int, headers: bytes, answer: bytes) -> None:
            if not future.done():
                future.set_result(PeerReply(status, headers, answer))

        def given_up() -> None:
            if not future.done():
                future.set_result(None)

        call = Call(operation, context, body, is_repeatable, answered, given_up)
        self.links[owner].call(call)
        return await future

    def ask_from_thread(self, owner: int, operation: int, body: bytes) -> PeerReply | None:
        """The same for a thread; for what may be asked twice."""
        if self._loop is None:
            return None
        asking = self.ask(owner, operation, b"", body, is_repeatable=True)
        try:
            return asyncio.run_coroutine_threadsafe(asking, self._loop).result(_THREAD_SECONDS)
        except TimeoutError:
            return None

    @property
    def waiting(self) -> int:
        """Calls that wait for other workers."""
        return sum(link.waiting for link in self.links.values())

    def silent(self) -> list[int]:
        """Workers that did not answer when they were asked last."""
        return [number for number, link in self.links.items() if link.is_silent]

    def _socket(self, number: int) -> Path:
        return self._folder / f"peer-{number}.sock"
