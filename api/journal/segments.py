"""The files of a journal: numbered segments in one directory that one process owns."""

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api.journal.checkpoint import Position
from api.journal.frames import Chunk, Region, read_frames
from shared.errors import SettingsError

_SUFFIX = ".journal"
# Errors that do not pass; too many open files do.
_UNREADABLE = {errno.EIO, errno.EACCES, errno.EPERM, errno.EBADMSG, errno.EUCLEAN}
_NAME = re.compile(r"([0-9]{12,15})\.journal")
# Years of a million segments a second. Behind a file with the highest name of all there would be
# room for no segment, so files with higher names are none.
_LAST_NUMBER = 123_456_789_012_345


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """The first records between two positions.

    Attributes:
        position: behind what was read: the last record, or the end if that was all.
        damage: what lies between them and is no record, each with the number of its segment.
    """

    position: Position
    payloads: list[bytes] = field(default_factory=list)
    damage: list[tuple[int, Region]] = field(default_factory=list)


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:012d}{_SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Numbers of the segments on disk, oldest first; a folder of such a name is none."""
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
    # thirteen digits with a leading zero would be another name of the same number
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
    """The first whole records between two positions, at most so many."""
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
    # Not behind the last record: it may be the last of its segment, and the next round would
    # then find nothing between there and the beginning of the next segment.
    return RecordBatch(end, payloads, damage)


def _chunks_between(directory: Path, begin: Position, end: Position) -> Iterator[tuple[int, Chunk]]:
    """The same many at a time, with the number of their segment."""
    for number in segment_numbers(directory):
        if begin.segment <= number <= end.segment:
            first = begin.offset if number == begin.segment else 0
            # Behind the end somebody may be writing at this moment.
            stop = end.offset if number == end.segment else None
            for chunk in _readable(segment_path(directory, number), first, stop):
                yield number, chunk


def _readable(path: Path, first: int, stop: int | None) -> Iterator[Chunk]:
    """What the disk gives, and where it gives no more."""
    try:
        yield from read_frames(path, first, stop)
    except FileNotFoundError:
        return  # somebody removed it; what it held will be missed
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
        # A folder can be locked as well, and so can what may only be read.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
