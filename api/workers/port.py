"""Binds the port before anything is loaded, so that a port in use is reported at once.

It is bound and does not listen yet: a client that connects too early is refused at once and
can try again, instead of waiting for as long as a start takes.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from api.settings import Settings
from shared.errors import SettingsError

_log = structlog.get_logger()
# Kernel buffer sizes of one connection, for answers and requests; the kernel doubles them.
_BUFFER_BYTES = 128 * 1024


@contextmanager
def bound(settings: Settings) -> Iterator[socket.socket]:
    """The socket, for a server to listen on.

    Raises:
        SettingsError: the port is in use, or the host is not ours.
    """
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as own:
        # Connections inherit both. With the kernel's defaults, a thousand callers that read
        # nothing, or whose bodies wait to be read, exhaust the TCP memory that all connections
        # share: packets of every caller are then dropped and retransmitted after seconds.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            own.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"API_HOST, API_PORT: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        _log.info("port_bound", host=host, port=own.getsockname()[1])
        yield own
