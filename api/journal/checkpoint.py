"""The checkpoint: how far the journal has been drained, replaced atomically.

The position never says too much: what lies before it is committed to the disk of the database
(see `api.journal.sink`). It may say too little, or be lost: draining twice is harmless. It
counts only if its checksum holds and a record ends there (see `api.journal.recovery`).
"""

import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import orjson

from shared.system.files import TEMPORARY_PREFIX, write_whole


class Position(NamedTuple):
    """A place between two records."""

    segment: int
    offset: int


class Checkpoint:
    """The file that holds the position."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position | None:
        """The position that was saved last; None without a trustworthy one."""
        try:
            content = orjson.loads(self._path.read_bytes())
            position = Position(content["segment"], content["offset"])
            holds = content["crc32"] == _checksum(position)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return position if holds and min(position) >= 0 else None

    def clean(self) -> None:
        """Remove what kills left half written."""
        for path in self._path.parent.glob(f"{TEMPORARY_PREFIX}{self._path.name}-*"):
            with suppress(OSError):
                path.unlink()

    def save(self, position: Position, *, durable: bool) -> None:
        """Replace the position.

        `durable` before segments are removed: an older position would then say that they are
        missing. Else an older one, or none, after a power cut only repeats what is idempotent.
        """
        content = {**position._asdict(), "crc32": _checksum(position)}
        write_whole(self._path, orjson.dumps(content), durable=durable)

    def forget(self) -> None:
        """Restarts the drain at the oldest segment: draining twice is harmless. Needs no space."""
        self._path.unlink(missing_ok=True)


def _checksum(position: Position) -> int:
    """A checksum of the numbers as they are written: `1` and `1.0`, `true` and `1` differ."""
    return zlib.crc32(repr(tuple(position)).encode())
