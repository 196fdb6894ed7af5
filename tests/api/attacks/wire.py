"""Attempts that no client library would send: bytes straight onto the connection."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial

import httpx

from shared.keys.tokens import Role
from tests.api.attacks.attack import HUNG_UP, Attack, Target
from tests.api.attacks.pushes import NO_CREDENTIALS

# llhttp, below the server, refuses what is not plain HTTP/1.1; api/http/heads.py the rest.
REFUSED = {
    (400, "malformed-request"),
    (414, "address-too-long"),
    (431, "headers-too-large"),
    (0, HUNG_UP),
}
NAMES: Mapping[str, bytes] = {
    "a page's own": b"rebound.example:8000",
    "one that begins like an address": b"127.0.0.1.rebound.example",
    "one that ends like ours": b"notlocalhost",
    "an address with a name around it": b"[::1].rebound.example",
    "none that is one": b"local host",
    "one with a port that is none": b"localhost:80x",
}
_HOST = b"Host: localhost\r\n"
_SMUGGLED = b"POST /update_model HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
MESSAGES: Mapping[str, bytes] = {
    "both a length and chunks": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "two lengths": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\nContent-Length: 70\r\n\r\n" + _SMUGGLED,
    "a length below zero": b"POST /score HTTP/1.1\r\n" + _HOST + b"Content-Length: -1\r\n\r\n",
    "a length of five thousand digits": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "a transfer encoding nobody knows": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: xchunked\r\n\r\n",
    "a chunk whose size is not a number": b"POST /update_model HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "a space before the colon": b"GET /models HTTP/1.1\r\n" + _HOST
    + b"Authorization : Bearer x\r\n\r\n",
    "a line break in the address": b"POST /update_model\nX-Evil: 1 HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    "a folded header": b"GET /models HTTP/1.1\r\n" + _HOST + b"X-A: b\r\n c\r\n\r\n",
    "a bare line feed": b"GET /models HTTP/1.1\r\n" + _HOST + b"X-A: b\nX-Evil: 1\r\n\r\n",
    "a bare line feed after a chunk's size": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + _SMUGGLED,
    "a body after an upgrade to HTTP/2": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
    + b"Content-Length: %d\r\n\r\n" % len(_SMUGGLED) + _SMUGGLED,
    "a body after an upgrade to a websocket": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Connection: upgrade\r\nUpgrade: websocket\r\n"
    + b"Content-Length: %d\r\n\r\n" % len(_SMUGGLED) + _SMUGGLED,
    "chunks after an upgrade": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n" % len(_SMUGGLED) + _SMUGGLED + b"\r\n0\r\n\r\n",
    "a request for a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\n" + _HOST + b"\r\n" + _SMUGGLED,
    "lengths in one line": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0, 0\r\n\r\n" + _SMUGGLED,
    "the same length twice": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + _SMUGGLED,
    "chunks that come first, and a length": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "chunks under another coding": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "chunks over HTTP/1.0": b"POST /score HTTP/1.0\r\n" + _HOST
    + b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "a length in a trailer": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 70\r\n\r\n" + _SMUGGLED,
    "two hosts": b"GET /models HTTP/1.1\r\n" + _HOST + _HOST + b"\r\n",
    "an address of another host": b"POST http://127.0.0.1:9/update_model HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\n\r\n",
    "a space before the first header": b"GET /models HTTP/1.1\r\n " + _HOST + b"\r\n",
    "a version that does not exist": b"GET /models HTTP/1.2\r\n" + _HOST + b"\r\n",
    "no version": b"GET /models\r\n\r\n",
    "headers without end": b"GET /models HTTP/1.1\r\n" + b"a: b\r\n" * 50_000,
    "a header without end": b"GET /models HTTP/1.1\r\na: " + b"b" * 2_000_000,
    "an address without end": b"GET /" + b"a" * 2_000_000,
    "trailers without end": b"POST /score HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 50_000,
    "a NUL in a header": b"GET /models HTTP/1.1\r\n" + _HOST + b"X-Request-Id: a\0b\r\n\r\n",
    "a bare carriage return in a header": b"GET /models HTTP/1.1\r\n" + _HOST
    + b"X-Request-Id: a\rX-Evil: 1\r\n\r\n",
    "a method that does not exist": b"BREW /models HTTP/1.1\r\n" + _HOST + b"\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "the opening of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}  # fmt: skip
CLOSED: Mapping[str, bytes] = {
    "the address in full": b"POST http://localhost/update_model HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    "the end of the connection said and more behind": b"POST /update_model HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\nConnection: close\r\n\r\n" + _SMUGGLED,
    "HTTP/1.0": b"POST /update_model HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
    "two credentials, the right one last": b"POST /update_model HTTP/1.1\r\n" + _HOST
    + b"Authorization: Bearer x\r\nAuthorization: Bearer %(push)s\r\n"
    + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
}  # fmt: skip


def exchange(target: Target, message: bytes) -> httpx.Response:
    """What comes back, as one answer; more than one is an answer to what was smuggled in."""
    host, port = target.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        received = bytearray()
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                received += chunk
    if not received:
        raise httpx.RemoteProtocolError("hung up without a word")
    if received.count(b"HTTP/1.1 ") != 1:
        raise AssertionError(f"more than one answer: {bytes(received)!r}")
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(status.split()[1]), headers=dict(headers), content=body)  # type: ignore[arg-type]


def _with_token(target: Target, message: bytes) -> bytes:
    return message.replace(b"%(push)s", target.server.token(Role.PUSH).encode())


def wire() -> Iterator[Attack]:
    for name, message in MESSAGES.items():
        send = partial(lambda message, t: exchange(t, message), message)
        yield Attack(f"send {name}", send, REFUSED)
    for name, message in CLOSED.items():
        send = partial(lambda message, t: exchange(t, _with_token(t, message)), message)
        yield Attack(f"push with {name}", send, {*NO_CREDENTIALS, (404, "not-found")})
    for name, host in NAMES.items():
        message = b"GET /livez HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        send = partial(lambda message, t: exchange(t, message), message)
        yield Attack(f"read under a name that is {name}", send, {(421, "wrong-host")})
