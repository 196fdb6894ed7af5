"""Attempts that no client library would send: bytes straight onto the connection."""

import socket
from collections.abc import Iterator, Mapping
from functools import partial

import httpx

from shared.keys.tokens import Role
from tests.api.door.attack import HUNG_UP, Attack, Target
from tests.api.door.pushes import NO_CREDENTIALS

# llhttp, below the server, refuses what is not plain HTTP/1.1 before any of our code sees it.
REFUSED = {(400, ""), (0, HUNG_UP)}
_HOST = b"Host: x\r\n"
_SMUGGLED = b"POST /update_model HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
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
    "a chunk whose size is no number": b"POST /update_model HTTP/1.1\r\n" + _HOST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "a space before the colon": b"GET /models HTTP/1.1\r\n" + _HOST
    + b"Authorization : Bearer x\r\n\r\n",
    "a NUL in a header": b"GET /models HTTP/1.1\r\n" + _HOST + b"X-Request-Id: a\0b\r\n\r\n",
    "a bare carriage return in a header": b"GET /models HTTP/1.1\r\n" + _HOST
    + b"X-Request-Id: a\rX-Evil: 1\r\n\r\n",
    "a method that does not exist": b"BREW /models HTTP/1.1\r\n" + _HOST + b"\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "the opening of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}  # fmt: skip
CLOSED: Mapping[str, bytes] = {
    "a line break in the address": b"POST /update_model\nX-Evil: 1 HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    "an address of another host": b"POST http://127.0.0.1:9/update_model HTTP/1.1\r\n" + _HOST
    + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"POST /update_model HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
    "two credentials, the right one last": b"POST /update_model HTTP/1.1\r\n" + _HOST
    + b"Authorization: Bearer x\r\nAuthorization: Bearer %(push)s\r\n"
    + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
}  # fmt: skip


def exchange(target: Target, message: bytes) -> httpx.Response:
    """What comes back, as one answer; more than one is an answer to what was smuggled in."""
    host, port = target.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        received = bytearray()
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
