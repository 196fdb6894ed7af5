"""Head and body leave together, and a head without a body leaves all the same."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.http.one_write import OneWriteProtocol
from tests.api.server import wait_until

BODY = b"an answer"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at /slow after a while, at /empty with nothing, elsewhere at once."""
    await receive()
    body = b"" if scope["path"] == "/empty" else BODY
    headers = [(b"content-length", str(len(body)).encode())]
    if scope["path"] == "/chunked":
        headers = []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=OneWriteProtocol,
            loop="uvloop",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started)
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)
    listener.close()


def talk(address: tuple[str, int], request: bytes) -> socket.socket:
    connection = socket.create_connection(address, timeout=10)
    connection.sendall(request)
    return connection


def told(connection: socket.socket, end: bytes) -> bytes:
    """Everything up to an end."""
    content = b""
    while not content.endswith(end):
        part = connection.recv(65_536)
        assert part, content
        content += part
    return content


@pytest.mark.parametrize("path", ["/", "/slow"])
def test_a_body_follows_its_head(address: tuple[str, int], path: str) -> None:
    with talk(address, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) as connection:
        content = told(connection, BODY)
    assert content.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/"), ("GET", "/empty")])
def test_a_head_without_a_body_is_not_held_back(
    address: tuple[str, int], method: str, path: str
) -> None:
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with talk(address, request) as connection:
        assert told(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        told(connection, BODY)


def test_the_last_chunk_looks_like_the_end_of_a_head_and_is_none(address: tuple[str, int]) -> None:
    with talk(address, b"GET /chunked HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert BODY in told(connection, b"0\r\n\r\n")


def test_a_caller_who_asks_whether_to_go_on_is_told(address: tuple[str, int]) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with talk(address, request) as connection:
        assert told(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(b"{}")
        told(connection, BODY)


def test_requests_sent_without_waiting_are_answered_in_turn(address: tuple[str, int]) -> None:
    with talk(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5) as connection:
        content = b""
        while content.count(BODY) < 5:
            content += connection.recv(65_536)
    assert content.count(b"HTTP/1.1 200") == 5
