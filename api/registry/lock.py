"""The lock of the registry: one writer at a time, over all threads of all workers.

The kernel lets go of the lock when its holder dies, however it dies.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.002


class RegistryBusy(OSError):
    """Raised when another process has kept the registry for too long."""


class RegistryLock:
    """A lock file; each holder reopens it, so that threads exclude each other as well."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self, wait_seconds: float) -> Iterator[None]:
        """Be the only one inside.

        Raises:
            RegistryBusy: another one is, for longer than this.
            OSError: the registry is not there, or cannot be written.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for(descriptor, wait_seconds)
            yield
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                text = f"another process has been writing for {wait_seconds:g} s"
                raise RegistryBusy(None, text) from None
            time.sleep(_POLL_SECONDS)
        else:
            return
