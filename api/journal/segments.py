"""The files of a journal: numbered segments in one directory that one process owns."""

import fcntl
import os
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

import structlog

from api.journal.checkpoint import Position
from api.journal.frames import Frame, read_frames
from shared.errors import SettingsError

_SUFFIX = ".journal"
_log = structlog.get_logger()


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:012d}{_SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """Numbers of the segments on disk, oldest first."""
    return sorted(int(path.stem) for path in directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal())


def records_between(
    directory: Path, begin: Position, end: Position
) -> Iterator[tuple[bytes, Position]]:
    """Whole records from one position to another, each with the position behind it."""
    for number, frames in _frames_between(directory, begin, end):
        for payload, offset in frames:
            yield payload, Position(number, offset)


def first_between(
    directory: Path,
    begin: Position,
    end: Position,
    limit: int,
    now_and_then: Callable[[], object],
) -> tuple[list[bytes], Position]:
    """The first whole records between two positions, and the position behind the last."""
    payloads: list[bytes] = []
    for number, frames in _frames_between(directory, begin, end):
        now_and_then()
        del frames[limit - len(payloads) :]
        payloads += [payload for payload, _ in frames]
        begin = Position(number, frames[-1][1])
        if len(payloads) == limit:
            break
    return payloads, begin


def _frames_between(
    directory: Path, begin: Position, end: Position
) -> Iterator[tuple[int, list[Frame]]]:
    """The same many at a time, with the number of their segment; never none."""
    for number in segment_numbers(directory):
        if not begin.segment <= number <= end.segment:
            continue
        first = begin.offset if number == begin.segment else 0
        last = end.offset if number == end.segment else sys.maxsize
        for frames in read_frames(segment_path(directory, number), first):
            if frames[-1][1] > last:
                del frames[bisect_right(frames, last, key=itemgetter(1)) :]
            if not frames:
                break
            yield number, frames


def lock_directory(directory: Path) -> int:
    """Own the directory until the process ends.

    Raises:
        SettingsError: it cannot be written, or another process owns it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def heal(path: Path) -> int:
    """Cut off what is not a whole record, keeping a copy beside it; returns the good length.

    A tail torn by a kill was never acknowledged. Damage in the middle looks the same from
    here, hence the copy: nothing is thrown away without a trace.
    """
    good = 0
    for frames in read_frames(path, 0):
        _, good = frames[-1]
    size = path.stat().st_size
    if size > good:
        _keep_tail(path, good)
        os.truncate(path, good)
        _log.warning("journal_tail_cut", segment=path.name, kept_bytes=good, cut_bytes=size - good)
    return good


def _keep_tail(path: Path, good: int) -> None:
    with path.open("rb") as file:
        file.seek(good)
        tail = file.read()
    if tail.strip(b"\x00"):
        path.with_name(f"{path.stem}-{good}.torn").write_bytes(tail)
