"""The audit trail: one line of JSON for every attempt to change what is served, and pages of it.

Each line carries the digest of the line before it, so that a line changed, removed or put in
between is found out. Only the end can be cut off unseen; the line before it still stands.
A line that a kill or a full disk left unfinished stays as it is; the next line starts afresh.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from shared.clock import Clock, isoformat
from shared.contracts.people import AuditEntry, AuditTrailView
from shared.system.files import sync_file

# The predecessor's hash in the first line.
FIRST = "0" * 64
# An upper bound of a line's length: reasons and summaries have their own limits.
_TAIL_BYTES = 64 * 1024
_TOLD = 100
_MEMBERS = ("at", "what", "who", "why", "version")
_Stamp = tuple[int, int, int]


class AuditTrail:
    """Append-only over all threads of all workers; a line is on disk before the call returns."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    @property
    def is_missing(self) -> bool:
        """True if the trail has no line at all."""
        try:
            return self._path.stat().st_size == 0
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def write(self, what: str, who: str, why: str, **details: object) -> None:
        """Add a line: `what` happened, `who` asked for it, `why`.

        Raises:
            OSError: the line could not be kept.
        """
        line = {"at": isoformat(self._clock.now_us()), "what": what, "who": who, "why": why}
        with self._alone() as descriptor:
            chained = line | details | {"before": _digest(_last_line(descriptor))}
            # ASCII only: no reader can mistake a character for a line break
            os.write(descriptor, _new_line(descriptor) + json.dumps(chained).encode() + b"\n")
            sync_file(descriptor)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            # each call opens the file again, so threads exclude each other as well
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def broken_lines(raw: bytes) -> list[int]:
    """Numbers, from 1, of the lines that do not follow from the line before them.

    An unfinished line says nothing of the one before it; the one behind it vouches for it.
    """
    broken, before = [], b""
    for number, line in enumerate(raw.splitlines(), 1):
        members = line_members(line)
        if members is not None and members.get("before") != _digest(before):
            broken.append(number)
        before = line
    return broken


def line_members(line: bytes) -> dict[str, Any] | None:
    """The members of a line; None: it is unfinished or damaged."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _new_line(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    finished = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
    return b"" if finished else b"\n"


def _last_line(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    return tail.splitlines()[-1] if tail else b""


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest() if line else FIRST


class _Read(NamedTuple):
    stamp: _Stamp
    lines: list[bytes]
    broken: list[int]


_NOTHING = _Read((0, 0, 0), [], [])


class AuditReader:
    """Reads the trail and checks all of it whenever the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = _NOTHING
        self._lock = threading.Lock()

    def page(self, limit: int, before: int | None = None) -> AuditTrailView:
        """`limit` lines with numbers below `before`.

        Raises:
            OSError: it cannot be read.
        """
        read = self._read()
        end = len(read.lines) if before is None else min(before - 1, len(read.lines))
        begin = max(0, end - limit)
        broken = set(read.broken)
        entries = [
            _entry(number, read.lines[number - 1], follows=number not in broken)
            for number in range(end, begin, -1)
        ]
        return AuditTrailView(
            entries=entries,
            lines=len(read.lines),
            is_whole=not read.broken,
            broken=read.broken[:_TOLD],
            next_before=begin + 1 if begin else None,
        )

    def _read(self) -> _Read:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return _NOTHING
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if stamp != self._last.stamp:
                raw = self._path.read_bytes()
                self._last = _Read(stamp, raw.splitlines(), broken_lines(raw))
            return self._last


def _entry(number: int, line: bytes, *, follows: bool) -> AuditEntry:
    members: dict[str, Any] = dict(line_members(line) or {})
    known = {name: _text(members.pop(name, None)) for name in _MEMBERS}
    members.pop("before", None)
    return AuditEntry(
        number=number,
        **known,
        details=members,
        is_readable=known["at"] is not None,
        follows=follows,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
