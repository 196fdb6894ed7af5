"""The kinds of floods: each is the traffic of one connection, from its opening to its end.

`python -m benchmarks.attacks_flood_kinds PORT NAME` attacks until it is killed, and prints `at
work` after its first connection.
"""

import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

Flood = Callable[[], Iterator[bytes]]

# Connections that an attacker holds open.
HELD = 400
_BUFFER_BYTES = 64 * 1024
_HOST = b"Host: localhost\r\n"
_PART = 64 * 1024
_MIB = 1024 * 1024
_MALFORMED = b"GET / HTTP/1.1\r\nno colon here\r\n\r\n"


def _endless(start: bytes, part: bytes) -> Flood:
    def parts() -> Iterator[bytes]:
        yield start
        # the server should stop reading long before this
        for _ in range(64 * _MIB // len(part)):
            yield part

    return parts


def _once(*said: bytes) -> Flood:
    return lambda: iter(said)


def _request(path: bytes, body: bytes, kind: bytes = b"application/json") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %s HTTP/1.1\r\n%sContent-Type: %s\r\n%s\r\n%s" % (
        path, _HOST, kind, length, body,
    )  # fmt: skip


def _again(request: bytes, times: int = 50) -> Flood:
    """The same request on one connection, sent ahead a few at a time."""
    return _once(*[request] * times)


def _unknown(count: int) -> bytes:
    return b",".join(b'"a%d":1' % number for number in range(count))


_CHUNKED = (
    b"POST /predict HTTP/1.1\r\n"
    + _HOST
    + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_WRONG_ROWS = b",".join([b'{"amount":-1,%s}' % _unknown(20)] * 1_000)
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\n{}{}{}{}{"

FLOODS: Mapping[str, Flood] = {
    "headers": _endless(b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
    "one_header": _endless(b"GET / HTTP/1.1\r\na: ", b"b" * _PART),
    "addresses": _endless(b"GET /", b"a" * _PART),
    "trailers": _endless(_CHUNKED + b"2\r\n{}\r\n0\r\n", b"a: b\r\n" * 10_000),
    "chunk_extensions": _endless(_CHUNKED + b"1;a=", b"b" * _PART),
    "small_chunks": _endless(_CHUNKED, b"1\r\n \r\n" * 10_000),
    "held_silent": _once(),
    "held_half_heads": _once(b"GET / HTTP/1.1\r\n" + _HOST),
    "held_half_bodies": _once(_request(b"/predict/batch", b" " * 4 * _MIB)[: 3 * _MIB]),
    "held_unread_answers": _again(b"GET /openapi.json HTTP/1.1\r\n" + _HOST + b"\r\n", 20),
    "pipelined": _endless(b"", (b"GET /metrics HTTP/1.1\r\n" + _HOST + b"\r\n") * 1_000),
    "unknown_fields": _again(_request(b"/predict", b'{"amount":1,%s}' % _unknown(6_000))),
    "wrong_batches": _again(_request(b"/predict/batch", b'{"instances":[%s]}' % _WRONG_ROWS), 5),
    "numbers": _again(_request(b"/predict/batch", b'{"instances":[%s1]}' % (b"1," * 2_000_000)), 3),
    "nesting": _again(_request(b"/predict", b"[" * 60_000)),
    "foreign_types": _again(_request(b"/predict", b'{"amount":1}', b"text/plain")),
    "malformed": _once(_MALFORMED),
    "upgrades": _once(b"POST /predict HTTP/1.1\r\n" + _HOST + _UPGRADE),
}


def attack(port: int, name: str) -> None:
    """One connection after the other, or hundreds of them held open."""
    held: list[socket.socket] = []
    is_at_work = False
    most = HELD if name.startswith("held") else 0
    while True:
        with suppress(OSError):
            connection = _connected(port)
            _send_all(connection, FLOODS[name])
            held.append(connection)
        if len(held) > most:
            _read_to_the_end(held.pop(0))
        if not is_at_work:
            print("at work", flush=True)
            is_at_work = True


def _connected(port: int) -> socket.socket:
    """Connects with small buffers: those of an attacker fill its own machine's memory, not ours."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    connection.settimeout(5)
    connection.connect(("127.0.0.1", port))
    return connection


def _send_all(connection: socket.socket, parts: Flood) -> None:
    connection.settimeout(2)
    with suppress(OSError):
        for part in parts():
            connection.sendall(part)


def _read_to_the_end(connection: socket.socket) -> None:
    """Reads every answer, slowly; few attackers do."""
    connection.settimeout(0.05)
    with connection, suppress(OSError):
        while connection.recv(_PART):
            pass


if __name__ == "__main__":
    attack(int(sys.argv[1]), sys.argv[2])
