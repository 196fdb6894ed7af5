"""A bare application behind a protocol of ours, on its own port."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.api.server import wait_until

Address = tuple[str, int]
BODY = b"an answer"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at /slow after a while, at /empty with nothing, elsewhere at once."""
    while (await receive()).get("more_body"):
        pass
    body = b"" if scope["path"] == "/empty" else BODY
    headers = [(b"content-length", str(len(body)).encode())]
    if scope["path"] == "/chunked":
        headers = []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    await send({"type": "http.response.body", "body": body})


@contextmanager
def behind(
    protocol: type[asyncio.Protocol],
    wrap: Callable[[ASGIApp], ASGIApp] | None = None,
    **options: Any,
) -> Iterator[Address]:
    """The application behind this protocol; `options` are uvicorn's."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        wrap(app) if wrap else app, http=protocol, loop="uvloop", lifespan="off",
        log_config=None, access_log=False, **options,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def talk(address: Address, request: bytes) -> socket.socket:
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
