"""Pages of the audit trail, newest first, each with the state of the whole chain."""

import threading
from pathlib import Path
from typing import Any, NamedTuple

from api.registry.audit import broken_lines, line_members
from shared.contracts.audit import AuditEntry, AuditTrailView

_TOLD = 100
_MEMBERS = ("at", "what", "who", "why", "version")

_Stamp = tuple[int, int, int]


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
