"""The pipe to the process that exports spans: it never waits, and what does not fit is dropped.

A line of at most PIPE_BUF bytes goes into a pipe whole or not at all, so nothing of a line can be
lost alone. A collector that hangs fills the pipe, and that is all it does.
"""

import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from shared.system.child_processes import (
    INSTALLATION,
    ChildProcess,
    bare_environment,
    kill_child,
    module_command,
    start_child,
)
from shared.tracing.spans import Span, encode

_log = structlog.get_logger()
_EXPORTER = "shared.tracing.exporter"
# Linux's default of 16 pages holds only some hundred lines.
_PIPE_BYTES = 1024 * 1024
_PIPE_BUF = 4096
_RESTART_SECONDS = 30.0
CLOSE_SECONDS = 1.0
"""Time for the collector when the service ends; services have to stop within ten seconds."""
# Environment passed to the exporter: OpenTelemetry's settings, proxies, certificates, logs.
_PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
           "LOG_FORMAT", "LOG_LEVEL", "PATH")  # fmt: skip


class SpanSink(Protocol):
    """Takes finished spans."""

    def keep(self, spans: Sequence[Span]) -> bool:
        """Take spans of one piece of work, all or none; whether it did."""
        ...

    def close(self) -> None:
        """Give what was taken a moment to arrive."""
        ...


class InheritedPipe:
    """A `SpanSink`: the writing end of a pipe that another process opened, -1 for none.

    Attributes:
        kept: lines that went into the pipe.
        dropped: lines that did not: it was full, or the exporter was gone.
    """

    def __init__(self, descriptor: int = -1) -> None:
        self.kept = self.dropped = 0
        self.descriptor = descriptor

    def keep(self, spans: Sequence[Span]) -> bool:
        line = encode(spans)
        try:
            # a write beyond PIPE_BUF is not atomic
            is_kept = len(line) <= _PIPE_BUF and os.write(self.descriptor, line) == len(line)
        except BlockingIOError:
            is_kept = False
        except OSError:
            is_kept = False
            self._lost()
        if is_kept:
            self.kept += 1
        else:
            self.dropped += 1
        return is_kept

    def close(self) -> None:
        """The process that opened it reads to the end."""

    def _lost(self) -> None:
        """The exporter is gone; only its owner can start another."""


class SpanPipe(InheritedPipe):
    """The exporter process, and the pipe to its standard input."""

    def __init__(self, service: str, endpoint: str) -> None:
        super().__init__()
        self._service = service
        self._endpoint = endpoint
        self._child: ChildProcess | None = None
        self._started_at = float("-inf")
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The exporter, while there is one."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the exporter; again at most every half minute."""
        with self._starting:
            if time.monotonic() - self._started_at < _RESTART_SECONDS:
                return
            self._started_at = time.monotonic()
            self._abandon()
            reading, writing = os.pipe()
            os.set_blocking(writing, False)
            with suppress(OSError, AttributeError):
                fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            try:
                self._child = start_child(
                    module_command(_EXPORTER, str(os.getpid()), self._service),
                    folder=INSTALLATION,
                    environment=_environment(self._endpoint),
                    stdin=reading,
                )
            except OSError as error:
                os.close(writing)
                _log.error("trace_exporter_not_started", error=str(error))
                return
            finally:
                os.close(reading)
            self.descriptor = writing

    def close(self) -> None:
        """The exporter reads to the end and sends that, within `CLOSE_SECONDS`."""
        with self._starting:
            self._started_at = float("inf")
            child, self._child = self._child, None
            self._close_pipe()
        if child is not None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(2 * CLOSE_SECONDS)
            kill_child(child)

    def _lost(self) -> None:
        if time.monotonic() - self._started_at >= _RESTART_SECONDS:
            # on a thread: forking a large process takes milliseconds
            threading.Thread(target=self.start, name="trace-exporter", daemon=True).start()

    def _abandon(self) -> None:
        self._close_pipe()
        if self._child is not None:
            kill_child(self._child)
            self._child = None

    def _close_pipe(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class NoSpans:
    """A `SpanSink` where nothing is exported."""

    def keep(self, spans: Sequence[Span]) -> bool:  # noqa: ARG002
        return False

    def close(self) -> None:
        """Closes the pipe: nothing was taken."""


def _environment(endpoint: str) -> dict[str, str]:
    ours = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("OTEL_") or name.upper() in _PASSED
    }
    home = os.environ.get("HOME", "/")
    return {**ours, **bare_environment(home), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
