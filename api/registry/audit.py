"""The audit trail: one line of JSON for every attempt to change what is served."""

import os
import threading
from pathlib import Path

import orjson

from shared.clock import Clock, isoformat


class AuditTrail:
    """Append-only; each line is on disk before the call returns.

    A line that a cut or a full disk left unfinished stays as it is, and the next one begins anew.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()

    def write(self, what: str, who: str, why: str, **details: object) -> None:
        """Add a line: `what` happened, `who` asked for it, `why`.

        Raises:
            OSError: the line could not be kept.
        """
        line = {"at": isoformat(self._clock.now_us()), "what": what, "who": who, "why": why}
        data = orjson.dumps(line | details) + b"\n"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, _new_line(descriptor) + data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _new_line(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    finished = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
    return b"" if finished else b"\n"
