"""Limits of logging: lines a minute of each event, and the size of files.

Refused requests of unauthenticated callers must not fill a disk. The first lines of an event are
written, the rest of the minute is counted, and the count is its own line.
"""

import fcntl
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import structlog

MIB = 1024 * 1024
_MINUTE = 60.0
LEFT_OUT = "log_lines_left_out"
# The number of events counted separately; libraries may log any text as an event.
_MOST_EVENTS = 500
_OTHERS = "others"
_LONGEST_NAME = 200
_VERDICT = "understudy_is_written"


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Bounds of one process's log; 0 lines: no bound on them.

    Attributes:
        lines_per_minute: of each event.
        file_bytes: a log file beyond this is put aside.
        files_kept: of those put aside.
    """

    lines_per_minute: int = 0
    file_bytes: int = 50 * MIB
    files_kept: int = 5


class EventQuota(logging.Filter):
    """Lets the first lines of each event pass in a minute, and counts the others.

    A processor for structlog and a filter for handlers, of which several may share it.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most = per_minute
        self._now = now
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._ends_at = 0.0
        self._timer: threading.Timer | None = None

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A processor of structlog, before any that costs something."""
        if self._most and not self._is_written(str(event.get("event", ""))[:_LONGEST_NAME]):
            raise structlog.DropEvent
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._most or isinstance(record.msg, dict):
            # events of structlog have passed the limit already
            return True
        verdict = getattr(record, _VERDICT, None)
        if verdict is None:
            verdict = self._is_written(str(record.msg)[:_LONGEST_NAME])
            setattr(record, _VERDICT, verdict)
        return bool(verdict)

    def turn(self) -> None:
        """Start another minute, and report what the last one omitted."""
        with self._lock:
            seen, self._seen = self._seen, Counter()
            self._ends_at = self._now() + _MINUTE
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for name, count in seen.items():
            if count > self._most:
                structlog.get_logger().warning(LEFT_OUT, of=name, lines=count - self._most)

    def _is_written(self, name: str) -> bool:
        if name == LEFT_OUT:
            return True
        if self._now() >= self._ends_at:
            self.turn()
        with self._lock:
            known = name in self._seen or len(self._seen) < _MOST_EVENTS
            name = name if known else _OTHERS
            self._seen[name] += 1
            is_over = self._seen[name] > self._most
            if is_over and self._timer is None:
                self._tell_later()
        return not is_over

    def _tell_later(self) -> None:
        """Schedules the report of suppressed events, also if nothing more is logged."""
        self._timer = threading.Timer(max(self._ends_at - self._now(), 0.0), self.turn)
        self._timer.daemon = True
        self._timer.start()


class BoundedFileHandler(WatchedFileHandler):
    """Appends to a file until it is large, then puts it aside; several processes may share it.

    `api.log` becomes `api.log.1` and so on; a process that finds the file rotated already continues
    in the new one.
    """

    def __init__(self, path: Path, limits: LogLimits) -> None:
        self._limits = limits
        self._path = path
        super().__init__(path, encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.reopenIfNeeded()
            if self._is_full():
                self._put_aside()
        except OSError:
            self.handleError(record)
        super().emit(record)

    def _is_full(self) -> bool:
        size = 0 if self.stream is None else os.fstat(self.stream.fileno()).st_size
        return size >= self._limits.file_bytes

    def _put_aside(self) -> None:
        with _locked(self._path):
            self.reopenIfNeeded()
            if not self._is_full():
                return
            for number in range(self._limits.files_kept - 1, 0, -1):
                older = self._numbered(number)
                if older.exists():
                    older.replace(self._numbered(number + 1))
            if self._limits.files_kept:
                self._path.replace(self._numbered(1))
            else:
                self._path.unlink()
            self.reopenIfNeeded()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time puts files of this folder aside."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
