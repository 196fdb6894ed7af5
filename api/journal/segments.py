"""The files of a journal, in one directory that one process owns: numbered segments, a checkpoint.

`ActiveSegment` is the one that records are appended to: it is made with its first record, and made
again if it was removed.

The checkpoint is how far the journal has been drained, replaced atomically. It never says too much:
what lies before it is committed to the disk of the database (see `api.journal.sink`). It may say
too little, or be lost: draining twice is harmless. It counts only if its checksum holds and a
record ends there (see `api.journal.recovery`).
"""

import errno
import fcntl
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from api.journal.frames import Chunk, Region, read_frames
from shared.errors import SettingsError
from shared.system.files import TEMPORARY_PREFIX, sync_directory, sync_file, write_whole

_SUFFIX = ".journal"
# Permanent errors; EMFILE and the like are transient.
_UNREADABLE = {errno.EIO, errno.EACCES, errno.EPERM, errno.EBADMSG, errno.EUCLEAN}
_NAME = re.compile(r"([0-9]{12,15})\.journal")
# Enough for years of a million segments a second. Files with higher numbers are not segments:
# no segment could follow the one with the highest possible number.
_LAST_NUMBER = 123_456_789_012_345


class Position(NamedTuple):
    """A place between two records."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """The first records between two positions.

    Attributes:
        position: behind what was read: the last record, or the end if that was all.
        damage: what lies between them and is not a record, each with the number of its segment.
    """

    position: Position
    payloads: list[bytes] = field(default_factory=list)
    damage: list[tuple[int, Region]] = field(default_factory=list)


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:012d}{_SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Numbers of the segments on disk, oldest first; folders of such a name are ignored."""
    return [
        number for number in taken_numbers(directory) if segment_path(directory, number).is_file()
    ]


def taken_numbers(directory: Path) -> list[int]:
    """Numbers that no new segment can have, oldest first."""
    try:
        names = {path.name for path in directory.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return []
    numbers = {int(match[1]) for name in names if (match := _NAME.fullmatch(name))}
    # only the canonical name: a leading zero too many would name the same number
    ours = (number for number in numbers if segment_path(directory, number).name in names)
    return sorted(number for number in ours if number < _LAST_NUMBER)


def records_between(
    directory: Path, begin: Position, end: Position
) -> Iterator[tuple[bytes, Position]]:
    """Whole records from one position to another, each with the position behind it."""
    for number, chunk in _chunks_between(directory, begin, end):
        for payload, offset in chunk.frames:
            yield payload, Position(number, offset)


def first_between(
    directory: Path,
    begin: Position,
    end: Position,
    limit: int,
    now_and_then: Callable[[], object],
) -> RecordBatch:
    """The first whole records between two positions, at most `limit`."""
    payloads: list[bytes] = []
    damage: list[tuple[int, Region]] = []
    for number, chunk in _chunks_between(directory, begin, end):
        now_and_then()
        if chunk.damage is not None:
            damage.append((number, chunk.damage))
        frames = chunk.frames[: limit - len(payloads)]
        payloads += [payload for payload, _ in frames]
        if len(payloads) == limit:
            return RecordBatch(Position(number, frames[-1][1]), payloads, damage)
    # Not the end of the last record: it may be the last of its segment, and the next round would
    # find no records between that position and the start of the next segment.
    return RecordBatch(end, payloads, damage)


def _chunks_between(directory: Path, begin: Position, end: Position) -> Iterator[tuple[int, Chunk]]:
    """The same many at a time, with the number of their segment."""
    for number in segment_numbers(directory):
        if begin.segment <= number <= end.segment:
            first = begin.offset if number == begin.segment else 0
            # Beyond the end another thread may be writing records.
            stop = end.offset if number == end.segment else None
            for chunk in _readable(segment_path(directory, number), first, stop):
                yield number, chunk


def _readable(path: Path, first: int, stop: int | None) -> Iterator[Chunk]:
    """The readable bytes of the disk, and where reading fails."""
    try:
        yield from read_frames(path, first, stop)
    except FileNotFoundError:
        return  # it was removed: its records are reported as missing
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        yield Chunk([], Region(first, max(first, stop or path.stat().st_size), "unreadable"))


def lock_directory(directory: Path) -> int:
    """Own the directory until the process ends.

    Raises:
        SettingsError: it cannot be written, or another process owns it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = _open_lock(directory)
    except OSError as error:
        raise SettingsError(f"JOURNAL_DIR: cannot write {directory}: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SettingsError(
            f"JOURNAL_DIR: another process writes to {directory}; stop it or choose another"
        ) from error
    return descriptor


def _open_lock(directory: Path) -> int:
    path = directory / "lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (IsADirectoryError, PermissionError):
        # A directory can be locked too, and so can a read-only file.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class ActiveSegment:
    """An open file, or none yet; not safe for several threads."""

    def __init__(self, directory: Path, *, fsync: bool) -> None:
        self._directory = directory
        self._fsync = fsync
        self._descriptor = -1

    def write(self, number: int, data: bytes, at: int) -> None:
        """Write at the end of a segment, which is `at`, or leave the file as it was.

        Raises:
            OSError: the disk takes no more.
        """
        if self._descriptor < 0:
            self._descriptor = self._made(number)
        try:
            self._write(self._descriptor, data, at)
        except OSError:
            # Truncating needs no space. Otherwise whole records of a failed batch could be
            # mistaken for acknowledged ones at the next start.
            with suppress(OSError):
                os.ftruncate(self._descriptor, at)
            raise

    def cut(self, length: int) -> None:
        os.ftruncate(self._descriptor, length)

    def leave(self) -> None:
        """The next record begins another segment."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def is_nameless(self, number: int) -> bool:
        """True if the file, or its folder, was removed while it is written to."""
        if self._descriptor < 0:
            return False
        try:
            named = segment_path(self._directory, number).stat()
        except OSError:
            return True
        return not os.path.samestat(named, os.fstat(self._descriptor))

    def make_again(self, number: int, length: int) -> None:
        """Write what a removed file holds into one that has its name.

        Raises:
            OSError: it cannot be done now; the removed file is still written to.
        """
        content = os.pread(self._descriptor, length, 0)
        descriptor = self._made(number)
        try:
            self._write(descriptor, content, 0)
        except OSError:
            os.close(descriptor)
            segment_path(self._directory, number).unlink(missing_ok=True)
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _made(self, number: int) -> int:
        path = segment_path(self._directory, number)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._fsync:
                # Otherwise the records could be on disk without a directory entry for their file.
                sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _write(self, descriptor: int, data: bytes, at: int) -> None:
        done = os.pwrite(descriptor, data, at)
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], at + done)
        if self._fsync:
            sync_file(descriptor)


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
