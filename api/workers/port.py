"""The port: taken before anything is loaded, so that one that is in use is said at once.

It is bound and does not listen yet: who connects before somebody serves is refused at once and
can try again, instead of waiting for as long as a start takes.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from api.settings import Settings
from shared.errors import SettingsError

_log = structlog.get_logger()
# of answers that the kernel keeps for one connection; it doubles the number
_SEND_BYTES = 128 * 1024


@contextmanager
def bound(settings: Settings) -> Iterator[socket.socket]:
    """The socket, for a server to listen on.

    Raises:
        SettingsError: the port is in use, or the host is not ours.
    """
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as own:
        # Connections inherit it. The kernel's own bound lets a thousand callers that read nothing
        # fill the memory that all connections of the machine share.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
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
