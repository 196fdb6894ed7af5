"""uvicorn's protocol within bounds: heads, framing, waiting, and what is sent ahead of answers.

Neither httptools nor uvicorn bounds any of these, and all of them come before credentials. The
parser is fed in slices; after each one it is known how far it got, so that what it keeps to
itself (an endless header, a chunk's extension, a trailer) is counted from outside.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.connections import Bounds, Connections
from api.http.headers import last_answer, no_version
from api.http.heads import (
    NO_UPGRADE,
    ChunkMeter,
    HeadRefused,
    check_half_head,
    check_head,
    check_host,
    has_chunks,
)
from api.http.problems import BUSY, MALFORMED, TOO_SLOW, Problem
from shared.connections import ConnectionState
from shared.host_names import Hosts

_log = structlog.get_logger()


_HEAD, _END_OF_HEAD = b"HTTP/1.1 ", b"\r\n\r\n"


class CoalescedWriteProtocol(HttpToolsProtocol):
    """uvicorn's own protocol over a transport that holds a head back until something follows."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, CoalescingTransport(transport)))


class CoalescingTransport:
    """A transport that joins head and body; all else is passed on to the real one."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            # uvloop raises here while a response is in progress
            return
        if not self._held and data.startswith(_HEAD) and data.endswith(_END_OF_HEAD):
            self._held = data
            # no body follows at once: HEAD, a slow body, or `100 Continue`
            self._call_soon(self._let_go)
            return
        self._transport.write(self._held + data)
        self._held = b""

    def close(self) -> None:
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            if not self._transport.is_closing():
                self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


_SLICE_BYTES = 16 * 1024
_AGAIN = {"Retry-After": "1"}


class BoundedProtocol(CoalescedWriteProtocol):
    """Subclasses made for a server share its `pool`."""

    pool = Connections(Bounds())
    hosts = Hosts()
    # value of the header X-Model-Version on every response
    version: Callable[[], bytes] = staticmethod(no_version)

    url = b""
    heard_at = 0.0
    _raw: asyncio.Transport
    # The arriving request: the time of its first byte, and its progress.
    _since = 0.0
    _is_in_head = True
    _is_whole = False
    _chunks: ChunkMeter | None = None
    _is_metered = True
    _head_bytes = 0
    _body_bytes = 0
    # Body bytes of this connection in the pool's total.
    _counted_bytes = 0
    _has_asked = False
    _is_refused = False
    _thrown_bytes = 0
    _paused_at: float | None = None
    _closing_at: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._raw = transport
        self.heard_at = self._since = self.loop.time()
        if self.pool.admit(self):
            self.headers = []
            super().connection_made(transport)
        else:
            self._is_refused = True
            transport.write(self._rendered(Problem(BUSY, "too many connections", headers=_AGAIN)))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.forget(self)
        self._release()
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        if self._is_refused:
            self._throw_away(len(data))
        elif len(data) <= _SLICE_BYTES:
            self._parse(data)
        else:
            for begin in range(0, len(data), _SLICE_BYTES):
                self._parse(data[begin : begin + _SLICE_BYTES])

    def _parse(self, data: bytes) -> None:
        if self._is_refused:
            return
        try:
            self.parser.feed_data(data)
            if self._is_in_head:
                self._head_bytes += len(data)
                check_half_head(self.url, len(self.headers), self._head_bytes, self.pool.bounds)
            elif self._chunks is not None:
                self._chunks.fed(len(data), self._body_bytes)
        except HeadRefused as refusal:
            self.refuse(refusal.problem)
        except httptools.HttpParserUpgrade:
            self.refuse(Problem(MALFORMED, NO_UPGRADE))
        except httptools.HttpParserError as error:
            found = error.__context__
            problem = found.problem if isinstance(found, HeadRefused) else None
            self.refuse(problem or Problem(MALFORMED, "Invalid HTTP request received."))

    def _throw_away(self, size: int) -> None:
        """The caller can still read why, but may not keep us busy."""
        self._thrown_bytes += size
        if self._thrown_bytes > self.pool.bounds.thrown_bytes and not self._raw.is_closing():
            self._raw.pause_reading()

    # callbacks of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin()

    def _begin(self) -> None:
        self._since = self.heard_at
        self._is_in_head, self._is_whole, self._head_bytes = True, False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            # a trailer: ignored
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            raise HeadRefused(MALFORMED, NO_UPGRADE)
        version = self.parser.get_http_version()
        check_head(self.url, self.headers, version, self.pool.bounds)
        check_host(self.url, self.headers, self.hosts)
        if len(self.pipeline) >= self.pool.bounds.pipelined:
            raise HeadRefused(BUSY, "wait for the answers to earlier requests")
        chunked = has_chunks(self.headers, version)
        self._chunks = ChunkMeter(self.pool.bounds.framing_bytes) if chunked else None
        self._is_metered = self.url not in self.pool.bounds.unmetered
        self._since = self.heard_at
        self._body_bytes = 0
        super().on_headers_complete()
        # from here on uvicorn has a cycle for this request
        self._is_in_head = False

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._body_bytes += size
        if self._chunks is not None:
            self._chunks.body(size)
        if self.cycle.response_complete:
            if self._body_bytes > self.pool.bounds.unread_body_bytes:
                self.drop()
        elif self._is_metered:
            self._meter(size)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_whole = self._has_asked = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self._release()
        super().on_response_complete()

    def _meter(self, size: int) -> None:
        self._counted_bytes += size
        self.pool.body_bytes += size
        bounds = self.pool.bounds
        if (
            self.pool.body_bytes > bounds.body_buffer_bytes
            and self._counted_bytes > bounds.body_part_bytes
        ):
            raise HeadRefused(BUSY, "other large bodies are being read; send this one again")

    def _release(self) -> None:
        self.pool.body_bytes -= self._counted_bytes
        self._counted_bytes = 0

    # timeouts

    @property
    def standing(self) -> ConnectionState:
        if self._is_refused:
            return ConnectionState.REFUSED
        if not self._has_asked:
            return ConnectionState.UNPROVEN
        if self._paused_at is not None:
            return ConnectionState.UNREAD
        if self._is_answering:
            return ConnectionState.WAITING if self._is_whole else ConnectionState.SENDING
        return ConnectionState.IDLE if self._is_whole else ConnectionState.SENDING

    @property
    def _is_answering(self) -> bool:
        """True if the headers of some request have arrived and its answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_answered_early(self) -> bool:
        """True if the request whose body is arriving was answered: there is no second answer."""
        is_in_body = not self._is_in_head and not self._is_whole
        return is_in_body and self.cycle is not None and self.cycle.response_complete

    def look(self, now: float) -> None:
        if self._raw.is_closing() or self._is_refused:
            self._end_soon(now)
        elif self._paused_at is not None:
            if now - self._paused_at > self.pool.bounds.unread_seconds:
                self.pool.refused["answers-unread"] += 1
                self.drop()
        elif (self._is_in_head or not self._is_whole) and self._is_late(now):
            self._give_up()

    def _is_late(self, now: float) -> bool:
        """True if the arriving request takes longer than the limit, or has stopped."""
        bounds = self.pool.bounds
        if self._is_in_head or self.flow.read_paused:
            # read_paused: the delay is ours, so only a slow head counts
            return self._is_in_head and now - self._since > bounds.head_seconds
        allowed = bounds.body_seconds + self._body_bytes / bounds.body_bytes_per_second
        return now - self._since > allowed or now - self.heard_at > bounds.body_seconds

    def _give_up(self) -> None:
        if self._has_asked or self._head_bytes or not self._is_in_head:
            self.refuse(Problem(TOO_SLOW, "send requests faster, or in smaller parts"))
        else:
            self.pool.refused["silent"] += 1
            self._raw.close()

    def _end_soon(self, now: float) -> None:
        """Closes the connection once pending answers are sent, within a time limit."""
        bounds = self.pool.bounds
        if self._is_answering and not (self.cycle is not None and self.cycle.disconnected):
            return
        if self._closing_at is None:
            self._closing_at = now
        patience = bounds.linger_seconds if self._is_refused else bounds.unread_seconds
        if now - self._closing_at > patience:
            self.drop()

    def drop(self) -> None:
        # a write to an aborted transport raises, which is slow: 0.5 s for fifty connections
        for cycle in (self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        self._raw.abort()

    def pause_writing(self) -> None:
        self._paused_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_at = None
        super().resume_writing()

    # refusals

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem, if it is this request's turn; read nothing more, and close."""
        self._is_refused = True
        self._unset_keepalive_if_required()
        self.pool.refused[problem.kind.code] += 1
        _log.warning(
            "connection_refused",
            reason=problem.kind.code,
            detail=problem.detail,
            address=self.client[0] if self.client else None,
        )
        if self._is_answered_early:
            self._raw.close()
        elif not self._is_answering:
            self._say_and_close(problem)
        elif self._is_in_head or self._is_whole:
            # responses to earlier requests are sent first, then the connection is closed
            if self.cycle is not None:
                self.cycle.keep_alive = False
        elif self.pipeline or self.cycle.response_started:
            self._hang_up_on_reader()
        else:
            self._hang_up_on_reader()
            self._say_and_close(problem)

    def _hang_up_on_reader(self) -> None:
        """The reader of this body learns that the rest will not come."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _say_and_close(self, problem: Problem) -> None:
        self._raw.write(self._rendered(problem))
        # Closing with unread bytes sends a TCP reset: the caller would lose the response.
        end = self._raw.write_eof if self._raw.can_write_eof() else self._raw.close
        end()

    def _rendered(self, problem: Problem) -> bytes:
        answer = last_answer(problem, type(self).version(), self.server_state.default_headers)
        return STATUS_LINE[problem.kind.status] + answer
