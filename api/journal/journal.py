"""The journal: append-only, bounded, recovered after a kill, read by one drain.

What `append` has returned for survives the death of the process at any instant, because
the kernel has it. It survives a power cut only when `fsync` is on.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import structlog

from api.journal.checkpoint import Checkpoint, Position
from api.journal.frames import frame
from api.journal.segments import (
    heal,
    lock_directory,
    records_between,
    segment_numbers,
    segment_path,
)

_log = structlog.get_logger()
# A journal is cut into this many segments, so that space comes back while it drains.
_SEGMENTS = 16
# About what one decision needs.
_PROBE_BYTES = 1024


class JournalFull(Exception):
    """Raised when a record cannot be kept; the text says which limit was met."""


class Journal:
    """Records as bytes; `open` first, `close` last."""

    def __init__(self, directory: Path, max_bytes: int, *, fsync: bool = False) -> None:
        self.max_bytes = max_bytes
        self._directory = directory
        self._segment_bytes = max(max_bytes // _SEGMENTS, 4096)
        self._fsync = fsync
        self._checkpoint = Checkpoint(directory / "checkpoint.json")
        self._lock = threading.Lock()
        self._owner = self._descriptor = -1
        self._end = self._drained = Position(0, 0)
        # bytes of the segments before the active one
        self._older_bytes = 0
        self._disk_trouble: str | None = None
        self.backlog = 0

    def open(self) -> None:
        """Own the directory and recover whatever a killed process left in it.

        Raises:
            SettingsError: the directory cannot be used.
        """
        self._owner = lock_directory(self._directory)
        numbers = segment_numbers(self._directory)
        lengths = {number: heal(segment_path(self._directory, number)) for number in numbers}
        self._drained = self._checkpoint.load()
        last = max([*numbers, self._drained.segment, 1])
        self._activate(Position(last, lengths.get(last, 0)))
        self._older_bytes = sum(lengths.values()) - lengths.get(last, 0)
        self.backlog = sum(1 for _ in self._pending(self._drained))

    def close(self) -> None:
        with self._lock:
            for descriptor in (self._descriptor, self._owner):
                if descriptor >= 0:
                    os.close(descriptor)
            self._owner = self._descriptor = -1

    def append(self, payloads: Sequence[bytes]) -> None:
        """Keep these records, all or none.

        Raises:
            JournalFull: the bound is reached or the disk takes no more.
        """
        data = b"".join(map(frame, payloads))
        with self._lock:
            end = self._end.offset + len(data)
            if self._older_bytes + end > self.max_bytes:
                raise JournalFull(self._bound_met(len(data)))
            self._write(data)
            self._disk_trouble = None
            self._end = Position(self._end.segment, end)
            self.backlog += len(payloads)
            if end >= self._segment_bytes:
                self._rotate()

    def undrained(self) -> tuple[Position, Position] | None:
        """From where to where records wait for the database; None when none does."""
        with self._lock:
            return (self._drained, self._end) if self.backlog else None

    def read(self, limit: int) -> list[tuple[bytes, Position]]:
        """The oldest undrained records, each with the position behind it."""
        return list(islice(self._pending(self._drained), limit))

    def pending(self) -> Iterator[bytes]:
        """Every record that is not known to be in the database."""
        return (payload for payload, _ in self._pending(self._drained))

    def release(self, position: Position, count: int) -> None:
        """Records up to here are in the database; their space comes back."""
        with self._lock:
            self.backlog -= count
            # Behind the last record of a segment begins the next one.
            self._drained = position if self.backlog else self._end
            drained = self._drained
        try:
            self._checkpoint.save(drained)
        except OSError as error:
            # A full disk. An old position would do no harm, but without one space can be freed.
            _log.warning("journal_position_not_kept", error=str(error))
            self._checkpoint.forget()
        with self._lock:
            for number in segment_numbers(self._directory):
                if number < drained.segment:
                    path = segment_path(self._directory, number)
                    self._older_bytes -= path.stat().st_size
                    path.unlink()
            if self._disk_trouble is not None and not self.backlog:
                self._empty()

    def _empty(self) -> None:
        """Give back the active segment as well: on a full disk it is what keeps it full."""
        # First: a position behind the end would hide what is written there later.
        self._checkpoint.forget()
        os.ftruncate(self._descriptor, 0)
        self._end = self._drained = Position(self._end.segment, 0)

    @property
    def bytes_used(self) -> int:
        return self._older_bytes + self._end.offset

    @property
    def refusal(self) -> str | None:
        """Why decisions are refused now, if they are; asks the disk again after a failure."""
        with self._lock:
            if self._disk_trouble is not None:
                with suppress(JournalFull):
                    self._write(bytes(_PROBE_BYTES))
                    os.ftruncate(self._descriptor, self._end.offset)
                    self._disk_trouble = None
            return self._disk_trouble or self._bound_met(_PROBE_BYTES)

    def _bound_met(self, more_bytes: int) -> str | None:
        if self.bytes_used + more_bytes <= self.max_bytes:
            return None
        return f"{self.max_bytes} bytes wait for the database"

    def _pending(self, start: Position) -> Iterator[tuple[bytes, Position]]:
        """Whole records behind a position, up to the end as it is now."""
        with self._lock:
            end = self._end
        return records_between(self._directory, start, end)

    def _write(self, data: bytes) -> None:
        """Write at the known end, or leave the file as it was."""
        at = self._end.offset
        try:
            done = os.pwrite(self._descriptor, data, at)
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], at + done)
            if self._fsync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            # Shrinking needs no space. Left there, whole records of a failed batch could be
            # taken for acknowledged ones by the next start.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end.offset)
            if self._disk_trouble is None:
                _log.error("journal_write_failed", error=str(error))
            self._disk_trouble = f"the disk takes no more: {error.strerror}"
            raise JournalFull(self._disk_trouble) from error

    def _rotate(self) -> None:
        full = self._end
        try:
            self._activate(Position(full.segment + 1, 0))
        except OSError as error:
            # The record is safe; the old segment simply grows on.
            _log.warning("journal_rotation_failed", error=str(error))
            return
        self._older_bytes += full.offset

    def _activate(self, end: Position) -> None:
        path = segment_path(self._directory, end.segment)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._end = descriptor, end
