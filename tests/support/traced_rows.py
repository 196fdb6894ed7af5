"""Rows of several connections at once, each of a caller that keeps its trace."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack

from shared.tracing.spans import TraceContext
from tests.api.server import Running
from tests.support.raw_requests import address_of, answers, request


def send_together(server: Running, callers: Sequence[TraceContext]) -> list[bytes]:
    """The bodies of the answers."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(address_of(server), timeout=30))
            for _ in callers
        ]
        for connection, caller in zip(connections, callers, strict=True):
            header = f"\r\ntraceparent: {caller.traceparent}\r\nContent-Type".encode()
            connection.sendall(request(1.0).replace(b"\r\nContent-Type", header, 1))
        return [answers(connection, 1)[0][1] for connection in connections]
