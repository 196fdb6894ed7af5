"""A receiver of webhooks on a port of its own that behaves as a test wants it to."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_HEAD_END = b"\r\n\r\n"


@dataclass
class Receiver:
    """Takes bodies and answers them; `mode` is ok, hang, drip, die, redirect or a status."""

    url: str
    mode: str = "ok"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(20)
            head, _, body = _read_head(connection)
            self.attempts += 1
            if self.mode == "die":
                return
            length = int(
                next(
                    line.split(b":")[1]
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
            )
            while len(body) < length:
                body += connection.recv(65_536)
            self._say(connection, json.loads(body))

    def _say(self, connection: socket.socket, body: dict[str, Any]) -> None:
        if self.mode == "hang":
            self.is_over.wait(30)
        elif self.mode == "drip":
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1_000:
                if self.is_over.wait(0.05):
                    return
                connection.sendall(bytes([byte]))
        elif self.mode == "redirect":
            connection.sendall(
                b"HTTP/1.1 307 Moved\r\nLocation: "
                + self.url.encode()
                + b"/elsewhere\r\nContent-Length: 0\r\n\r\n"
            )
        else:
            status = 200 if self.mode == "ok" else int(self.mode)
            if status == 200:
                self.bodies.append(body)
            connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())


def _read_head(connection: socket.socket) -> tuple[bytes, bytes, bytes]:
    data = b""
    while _HEAD_END not in data:
        part = connection.recv(65_536)
        if not part:
            raise OSError("the caller has gone")
        data += part
    return data.partition(_HEAD_END)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that answers every connection on a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/hooks/s3cret?sig=k3y")

    def accept() -> None:
        while not receiver.is_over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=receiver.answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.is_over.set()
        listener.close()
        time.sleep(0)
