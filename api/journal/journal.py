"""A write-ahead log: append-only, bounded, recovered after a kill, read by one drain.

Once `append` has returned, the record survives the death of the process at any instant, because the
kernel has it. It survives a power cut when `fsync` is on, or once it has been drained.
`api.journal.recovery` describes the recovery at a start.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import structlog

from api.journal.frames import Region, frame
from api.journal.recovery import DamageLog, Defect, Tell, recover
from api.journal.segments import (
    ActiveSegment,
    Checkpoint,
    Position,
    lock_directory,
    records_between,
    segment_path,
)
from shared.errors import SettingsError
from shared.system.files import sync_directory, sync_path

_log = structlog.get_logger()
# Segments of a full journal: drained ones are deleted, which frees space.
_SEGMENTS = 16
# Drained records are personal data without further use: deleted after this long.
_KEPT_SECONDS = 3_600.0
# About the size of one decision.
_PROBE_BYTES = 1024


class JournalFull(Exception):
    """Raised when a record cannot be appended; the text names the limit that was reached."""


def _tell_nobody(_kind: str) -> None:
    """Damage is not counted."""


class Journal:
    """Records as bytes; `open` first, `close` last.

    `_drained` is the place up to which the database has everything, on its disk; the position in
    the checkpoint never lies behind it, and only segments before it are removed. `_end` is where
    the next record goes. Both move forward only.

    Attributes:
        backlog: records that wait for the database.
        damage: what was found in the folder that is not a record.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        fsync: bool = False,
        tell_damage: Tell = _tell_nobody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_bytes = max_bytes
        self._directory = directory
        self._segment_bytes = max(max_bytes // _SEGMENTS, 4096)
        self._fsync = fsync
        self._checkpoint = Checkpoint(directory / "checkpoint.json")
        self._lock = threading.Lock()
        self._active = ActiveSegment(directory, fsync=fsync)
        self._owner = -1
        self._end = self._drained = Position(0, 0)
        # bytes of the segments before the active one
        self._sizes: dict[int, int] = {}
        self._older_bytes = 0
        self._disk_trouble: str | None = None
        self._nameless: str | None = None
        self._position_kept = True
        self._clock = clock
        self._emptied_at = clock()
        self.backlog = 0
        self.damage = DamageLog(directory, tell_damage)

    def open(self) -> None:
        """Own the directory and recover whatever a killed process left in it.

        Raises:
            SettingsError: the directory cannot be used.
        """
        self._owner = lock_directory(self._directory)
        self._checkpoint.clean()
        recovered = recover(self._directory, self._checkpoint)
        for defect in recovered.defects:
            self.damage.found(defect)
        self._sizes, self.backlog = recovered.sizes, recovered.backlog
        self._older_bytes = sum(self._sizes.values())
        self._end = recovered.end
        self._drained = recovered.drained if self.backlog else self._end
        if self._fsync:
            self._sync_pending()
        self._forget_before(self._drained)

    def close(self) -> None:
        with self._lock:
            self._active.leave()
            if self._owner >= 0:
                os.close(self._owner)
                self._owner = -1

    def remove(self) -> None:
        """Leave nothing of a drained journal but copies of damaged parts and dead letters."""
        with self._lock:
            self._rotate()
            drained = self._end
        self._forget_before(drained)
        with suppress(OSError):
            self._checkpoint.forget()

    def append(self, payloads: Sequence[bytes]) -> None:
        """Keep these records, all or none.

        Raises:
            JournalFull: the bound is reached or the disk takes no more.
        """
        data = b"".join(map(frame, payloads))
        with self._lock:
            if self._nameless is not None:
                raise JournalFull(self._nameless)
            if self.bytes_used + len(data) > self.max_bytes:
                raise JournalFull(self._bound_met(len(data)))
            self._write(data)
            self._disk_trouble = None
            self._end = Position(self._end.segment, self._end.offset + len(data))
            self.backlog += len(payloads)
            if self._end.offset >= self._segment_bytes:
                self._rotate()

    def undrained(self) -> tuple[Position, Position] | None:
        """Begin and end of the records that the database does not have yet; None: it has all."""
        with self._lock:
            return (self._drained, self._end) if self._drained < self._end else None

    def read(self, limit: int) -> list[tuple[bytes, Position]]:
        """The oldest undrained records, each with the position behind it."""
        return list(islice(self._pending(self._drained), limit))

    def pending(self) -> Iterator[bytes]:
        """Every record that is not known to be in the database."""
        return (payload for payload, _ in self._pending(self._drained))

    def release(
        self, position: Position, count: int, damage: Sequence[tuple[int, Region]] = ()
    ) -> None:
        """Records up to here are on the disk of the database; their space comes back.

        `damage` is what was found between them. Called by one thread.
        """
        for segment, region in damage:
            self.damage.found(Defect(region.kind, segment, region))
        with self._lock:
            self.backlog -= count
            if position >= self._end:
                if self.backlog > 0 and not damage:
                    self.damage.lost(self.backlog)
                self.backlog = 0
            self._drained = drained = min(position, self._end)
        self._forget_before(drained)
        with self._lock:
            full = self._disk_trouble is not None or not self._position_kept
            is_old = self._clock() - self._emptied_at > _KEPT_SECONDS
            if (full or is_old) and self._drained == self._end and drained.offset:
                self._empty()

    def _forget_before(self, drained: Position) -> None:
        """Note the position, then remove what lies before it; appending goes on meanwhile.

        Segments that are there again after a power cut are drained again or removed.
        """
        old = sorted(number for number in list(self._sizes) if number < drained.segment)
        try:
            self._checkpoint.save(drained, durable=bool(old))
        except OSError as error:
            # Full disk: drop the checkpoint and go on, so that segments are deleted.
            if self._position_kept:
                _log.warning("journal_position_not_kept", error=str(error))
            self._position_kept = False
            with suppress(OSError):
                self._checkpoint.forget()
        else:
            self._position_kept = True
        for number in old:
            try:
                self.damage.remove(number)
            except OSError as error:
                _log.warning("journal_segment_not_removed", segment=number, error=str(error))
                continue
            with self._lock:
                self._older_bytes -= self._sizes.pop(number)
        if old and self._fsync:
            sync_directory(self._directory)

    def _empty(self) -> None:
        """Give back the active segment as well: on a full disk it is what keeps it full."""
        self._emptied_at = self._clock()
        self._active.leave()
        segment_path(self._directory, self._end.segment).unlink(missing_ok=True)
        # A new number: an old checkpoint could match a reused one by chance.
        self._end = self._drained = Position(self._end.segment + 1, 0)
        with suppress(OSError):
            self._checkpoint.save(self._drained, durable=True)

    @property
    def bytes_used(self) -> int:
        return self._older_bytes + self._end.offset

    @property
    def refusal(self) -> str | None:
        """The reason for refusing decisions now, or None; checks the disk again after a failure."""
        with self._lock:
            if self._disk_trouble is not None:
                with suppress(JournalFull):
                    self._write(bytes(_PROBE_BYTES))
                    self._active.cut(self._end.offset)
                    self._disk_trouble = None
            return self._nameless or self._disk_trouble or self._bound_met(_PROBE_BYTES)

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
        try:
            try:
                self._active.write(self._end.segment, data, self._end.offset)
            except OSError:
                if self._drained < self._end or self._end.offset == 0:
                    raise
                # Every record of the segment is drained: deleting it frees enough space to go on.
                self._empty()
                self._active.write(self._end.segment, data, self._end.offset)
        except OSError as error:
            if self._disk_trouble is None:
                _log.error("journal_write_failed", error=str(error))
            self._disk_trouble = f"the disk accepts no more data: {error.strerror}"
            raise JournalFull(self._disk_trouble) from error

    def keep_name(self) -> None:
        """Write the active segment again if it, or the whole folder, was removed meanwhile.

        Records would be acknowledged that no drain and no later start could find. Where it cannot
        be rewritten they are refused.
        """
        with self._lock:
            if not self._active.is_nameless(self._end.segment):
                return
            _log.error("journal_segment_removed_while_in_use", segment=self._end.segment)
            try:
                self._own_again()
                self._active.make_again(self._end.segment, self._end.offset)
            except (OSError, SettingsError) as error:
                self._nameless = f"the journal was removed and cannot be recreated: {error}"
            else:
                self._nameless = None

    def _own_again(self) -> None:
        """The lock may have been removed as well, and another process could take it then."""
        if not (self._directory / "lock").exists():
            owner = lock_directory(self._directory)
            os.close(self._owner)
            self._owner = owner

    def _rotate(self) -> None:
        """The next record begins a segment, and makes it."""
        full = self._end
        self._active.leave()
        self._sizes[full.segment] = full.offset
        self._older_bytes += full.offset
        self._end = Position(full.segment + 1, 0)

    def _sync_pending(self) -> None:
        """Unflushed records of a killed process may be acknowledged again from here on."""
        for number in self._sizes:
            if number >= self._drained.segment:
                sync_path(segment_path(self._directory, number))
        sync_directory(self._directory)
        sync_directory(self._directory.parent)
