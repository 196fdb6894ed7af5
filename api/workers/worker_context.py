"""The context of a process that serves: its number, the port that all share, its heartbeat.

The port is bound before anything is loaded, so that a port in use is reported at once. It does not
listen yet: a client that connects too early is refused at once and can try again, instead of
waiting for as long as a start takes.

A heartbeat is a byte from a worker's event loop into a pipe that the supervisor reads. It comes
from the event loop only: a thread would go on beating for a loop that is stuck. While rows are
scored on a thread, one that is stuck there stops it, too. A pipe, because a full or broken disk
must not look like a worker that hangs.
"""

import argparse
import asyncio
import faulthandler
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf

import structlog

from api.settings import Settings
from shared.errors import SettingsError
from shared.system.child_processes import end_with_parent

_log = structlog.get_logger()
# Kernel buffer sizes of one connection, for answers and requests; the kernel doubles them.
_BUFFER_BYTES = 128 * 1024
DUMP_STACKS_SIGNAL = signal.SIGUSR1
BEAT_SECONDS = 0.5
# With less, a garbage collection would count as a hang.
_LEAST_HANG_SECONDS = 2.0


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


class Heartbeat:
    """The worker's end of the pipe; None: there is no supervisor."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def begin(self, loop: asyncio.AbstractEventLoop, scores: Callable[[], bool]) -> None:
        """Beat for as long as this loop turns and scoring does not hang elsewhere."""
        if self._descriptor is None:
            return
        if scores():
            # The supervisor is ending and no longer reads: the pipe is full or closed.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._descriptor, b".")
        loop.call_later(BEAT_SECONDS, self.begin, loop, scores)


class HeartbeatMonitor:
    """The supervisor's end, for one process after the other.

    Silence is counted in looks, not in clock time: when the machine was suspended, there
    were neither beats nor looks.
    """

    def __init__(self, hang_seconds: float) -> None:
        self._hang_seconds = max(hang_seconds, _LEAST_HANG_SECONDS) if hang_seconds else inf
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)
        self._is_beating = False
        self._silent_seconds = 0.0

    def begin(self) -> None:
        """Another process has the other end; until its first beat it is starting."""
        self._has_beaten()
        self._is_beating = False
        self._silent_seconds = 0.0

    def hangs(self, look_seconds: float) -> bool:
        """True if it beat once and has been silent for too long; called at every look."""
        if self._has_beaten():
            self._is_beating = True
            self._silent_seconds = 0.0
        elif self._is_beating:
            self._silent_seconds += look_seconds
        return self._silent_seconds > self._hang_seconds

    def close(self) -> None:
        os.close(self._read)
        os.close(self.descriptor)

    def _has_beaten(self) -> bool:
        try:
            return bool(os.read(self._read, 4_096))
        except BlockingIOError:
            return False
