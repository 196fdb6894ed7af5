"""The port: opened before anything is loaded, so that one that is taken is said at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from api.settings import Settings
from shared.errors import SettingsError

_log = structlog.get_logger()
_BACKLOG = 2048


@contextmanager
def listen(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket; who connects before somebody serves, waits.

    Raises:
        SettingsError: it is taken, or the host is not ours.
    """
    host, port = settings.api_host, settings.api_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"API_HOST, API_PORT: cannot listen on {host}:{port}: {error.strerror}"
        ) from error
    with listener:
        _log.info("listening", host=host, port=listener.getsockname()[1])
        yield listener
