"""The audit trail: one line of JSON for every attempt to change what is served."""

import os
import threading
from pathlib import Path

import orjson

from shared.clock import Clock, isoformat


class AuditTrail:
    """Append-only; each line is on disk before the call returns."""

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
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
