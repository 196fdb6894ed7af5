"""The context of a process that serves: its number, the port that all share, its heartbeat.

The port is bound before anything is loaded, so that a port in use is reported at once. It does not
listen yet: a client that connects too early is refused at once and can try again, instead of
waiting for as long as a start takes.
"""

import argparse
import faulthandler
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from api.settings import Settings
from shared.errors import SettingsError
from shared.system.child_processes import end_with_parent

_log = structlog.get_logger()
# Kernel buffer sizes of one connection, for answers and requests; the kernel doubles them.
_BUFFER_BYTES = 128 * 1024
DUMP_STACKS_SIGNAL = signal.SIGUSR1


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


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The number, counters and descriptors of a worker; by default those of the only one.

    Attributes:
        starts: how often there has been a worker of this number, this one included.
        hangs: how many of those before hung and were ended.
        listener: the port that all share; None: open it yourself.
        heartbeat: where to signal that the event loop turns; None: there is no supervisor.
    """

    number: int = 0
    starts: int = 1
    hangs: int = 0
    listener: socket.socket | None = None
    heartbeat: int | None = None


def read_context(arguments: list[str]) -> WorkerContext:
    """Read the command line; from here on the worker ends when its supervisor does."""
    parser = argparse.ArgumentParser(description="Serve as one of several workers.")
    for name in ("number", "starts", "hangs", "listener", "heartbeat", "parent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    said = parser.parse_args(arguments)
    end_with_parent(said.parent, signal.SIGTERM)
    # The supervisor sends this signal before it kills a hanging worker: dump all stacks.
    faulthandler.register(DUMP_STACKS_SIGNAL, all_threads=True)
    listener = socket.socket(fileno=said.listener)
    return WorkerContext(said.number, said.starts, said.hangs, listener, said.heartbeat)
