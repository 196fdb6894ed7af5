"""Requests as bytes on a socket, and their answers."""

import socket
from contextlib import suppress
from dataclasses import replace

import httpx
import orjson

from api.http.connections import KIB, Bounds
from tests.api.plain import Address, talk
from tests.api.server import Running


def request(amount: float, **more: str) -> bytes:
    body = orjson.dumps({"amount": amount, **more})
    head = f"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def address_of(server: Running) -> Address:
    url = httpx.URL(server.url)
    return url.host, url.port or 0


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Statuses and bodies of the next answers."""
    found: list[tuple[int, bytes]] = []
    content = b""
    while len(found) < count:
        head, end, rest = content.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")),
            0,
        )
        if end and len(rest) >= length:
            found.append((int(head[9:12]), rest[:length]))
            content = rest[length:]
            continue
        part = connection.recv(65_536)
        assert part, content
        content += part
    return found


HOST = b"Host: localhost\r\n"


GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


# Short, so that a test need not wait; long enough for a loaded machine to send one line.
HASTY = replace(
    Bounds(),
    head_seconds=1.0,
    body_seconds=1.0,
    unread_seconds=1.0,
    linger_seconds=1.0,
    connections=8,
    body_buffer_bytes=256 * KIB,
)


def everything(connection: socket.socket) -> bytes:
    """All that is told until the other side ends."""
    content = b""
    connection.settimeout(20)
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            content += part
    return content


def statuses(content: bytes) -> list[int]:
    return [int(part[:3]) for part in content.split(b"HTTP/1.1 ")[1:]]


def asked(address: Address, *parts: bytes) -> bytes:
    """What comes back of these; a server that hangs up meanwhile is not a failure."""
    with talk(address, b"") as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
        return everything(connection)


FLOODS = {
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 101 + b"\r\n", 431),
    "headers without end": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200_000, 431),
    "a header without end": (b"GET / HTTP/1.1\r\nA: " + b"b" * 1_000_000, 431),
    "a header's name without end": (b"GET / HTTP/1.1\r\n" + b"b" * 1_000_000, 431),
    "one large header": (
        b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 17 * KIB + b"\r\n\r\n", 431,
    ),
    "a long address": (b"GET /" + b"a" * 9 * KIB + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "an address without end": (b"GET /" + b"a" * 1_000_000, 414),
    "a method without end": (b"A" * 100_000, 400),
    "blank lines without end": (b"\r\n" * 100_000, 431),
    "trailers without end": (CHUNKED + b"1\r\nx\r\n0\r\n" + b"a: b\r\n" * 200_000, 400),
    "a trailer without end": (CHUNKED + b"0\r\na: " + b"b" * 1_000_000, 400),
    "a chunk extension without end": (CHUNKED + b"1;a=" + b"b" * 1_000_000, 400),
    "an extension a chunk": (CHUNKED + (b"1;a=" + b"b" * 1_000 + b"\r\nx\r\n") * 200, 400),
    "a chunk a byte": (CHUNKED + b"1\r\nx\r\n" * 100_000, 400),
}  # fmt: skip
