"""Strangers who hold connections: silent ones, slow ones, and ones that never read."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import uvicorn

from console.connections import ConnectionLimits
from console.main import server_config
from tests.support.console_bench import Bench

LIMITS = ConnectionLimits(connections=8, request_seconds=1.5, unread_seconds=1.5)
PATIENCE_SECONDS = 60.0
_REPORT_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True)
class Served:
    """The console of a bench on a port."""

    bench: Bench
    port: int

    def connect(self) -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.port))
        found.settimeout(PATIENCE_SECONDS)
        return found

    def answers(self) -> bool:
        """True once a page is answered; for a moment all places may be those of readers."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                url = f"http://127.0.0.1:{self.port}/livez"
                if httpx.get(url, timeout=PATIENCE_SECONDS).status_code == 200:
                    return True
            time.sleep(0.1)
        return False


@pytest.fixture
def served(bench: Bench) -> Iterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(bench.wired.app, LIMITS))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
        assert thread.is_alive()
    yield Served(bench, listener.getsockname()[1])
    server.should_exit = True
    thread.join(30)
    listener.close()


def ended(connection: socket.socket) -> bytes:
    """What was answered until the other side closed the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            found += piece
    return found


def test_silent_connections_take_nobodys_place_and_are_closed(served: Served) -> None:
    silent = [served.connect() for _ in range(3 * LIMITS.connections)]
    assert served.answers()
    assert all(ended(one) == b"" for one in silent)
    for one in silent:
        one.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /now HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 900\r\n\r\n",
    ],
    ids=["head", "form"],
)
def test_a_request_that_comes_byte_by_byte_is_not_waited_for(served: Served, begun: bytes) -> None:
    slow, until = served.connect(), time.monotonic() + PATIENCE_SECONDS
    slow.sendall(begun)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < until:
            slow.sendall(b"a")
            time.sleep(0.05)
    assert time.monotonic() < until
    assert served.answers()
    slow.close()


def write_large_report(served: Served) -> None:
    folder = served.bench.folder / "candidates" / "1.0.1"
    folder.mkdir(parents=True)
    with (folder / "report.html").open("wb") as file:
        file.truncate(_REPORT_BYTES)


def test_a_reader_who_never_reads_holds_no_report_open(served: Served) -> None:
    write_large_report(served)
    unread = [served.connect() for _ in range(3 * LIMITS.connections)]
    for one in unread:
        one.sendall(b"GET /reports/candidate/1.0.1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert served.answers()
    # nothing of this is read until the console gave up
    time.sleep(3 * LIMITS.unread_seconds)
    assert all(len(ended(one)) < _REPORT_BYTES for one in unread)
    for one in unread:
        one.close()


def test_a_reader_who_reads_gets_the_whole_report(served: Served) -> None:
    write_large_report(served)
    url = f"http://127.0.0.1:{served.port}/reports/candidate/1.0.1"
    assert len(httpx.get(url, timeout=PATIENCE_SECONDS).content) == _REPORT_BYTES


def test_a_head_without_end_is_refused_before_it_is_large(served: Served) -> None:
    endless, sent = served.connect(), 0
    endless.sendall(b"GET /now HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")
    with contextlib.suppress(ConnectionError):
        while sent < 64 * LIMITS.head_bytes:
            endless.sendall(b"a" * 4_096)
            sent += 4_096
    assert ended(endless)[:13] in (b"", b"HTTP/1.1 400 ")
    assert served.answers()
    endless.close()
