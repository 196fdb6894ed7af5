"""Framing of records in a segment, and how reading continues after a damaged one.

A frame is four bytes that no text contains, the length, a CRC-32 and the payload. Where a frame
does not hold, reading goes on at the next one that does: damage costs what it hit, no more.
Frames of earlier versions had no mark; segments that hold them are still read.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

# Invalid in UTF-8: no id and no JSON of a caller can look like the start of a frame. Read as
# the length field of the older format, it exceeds the limit.
MARK = b"\xfeUJ\xff"
_HEADER = struct.Struct("<4sII")
_pack = _HEADER.pack
_OLD_HEADER = struct.Struct("<II")
# No decision comes near this; a longer length is garbage, not a record.
MAX_RECORD_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
# The start of a frame of an older format: a length below 32 MiB, a checksum, the record's kind.
_OLD_BEGIN = re.compile(rb"(?=...[\x00\x01]....[\x01\x02{])", re.DOTALL)

Frame = tuple[bytes, int]
"""A record, and the offset behind it."""
DamageKind = Literal["torn", "damaged", "unreadable"]


class Region(NamedTuple):
    """Bytes of a segment that are not a record.

    Attributes:
        kind: `torn` where the file ends inside of what was being written when the process or the
            machine stopped, and which was never acknowledged; `unreadable` where the disk gives no
            bytes; else `damaged`.
    """

    begin: int
    end: int
    kind: DamageKind


class Chunk(NamedTuple):
    """Whole records, and the damage that lies before the first of them, if any does."""

    frames: list[Frame]
    damage: Region | None = None


def frame(payload: bytes) -> bytes:
    """The bytes of one record on disk."""
    length = len(payload)
    # The length seeds the checksum, so that the checksum covers it too.
    return _pack(MARK, length, zlib.crc32(payload, length)) + payload


def read_frames(path: Path, begin: int, stop: int | None = None) -> Iterator[Chunk]:
    """Whole records from an offset to another, or to the end of the file, many at a time."""
    with path.open("rb") as file:
        file.seek(begin)
        data, offset, damage = b"", begin, _Damage(path)
        more = True
        while more or data:
            # read sizes double, so that a long record is not copied for each of its chunks
            wanted = max(_CHUNK_BYTES, len(data))
            chunk = _read(file, wanted, None if stop is None else stop - offset - len(data))
            more = bool(chunk)
            data += chunk
            frames = _frames_in(data, offset)
            if frames:
                yield Chunk(frames, damage.ends_at(offset))
                behind = frames[-1][1]
                data, offset = data[behind - offset :], behind
            elif data and (not more or _is_garbage(data)):
                skipped = damage.skip(data, offset, at_end=not more)
                data, offset = data[skipped:], offset + skipped
        if (rest := damage.ends_at(offset, at_end=True)) is not None:
            yield Chunk([], rest)


class _Damage:
    """The bytes skipped since the last whole record."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin: int | None = None
        self._begins_as_record = self._only_zeros = False
        self._old: bool | None = None

    def skip(self, data: bytes, offset: int, *, at_end: bool) -> int:
        """The number of bytes before the next place where a record may begin; 1 at least."""
        if self._begin is None:
            self._begin = offset
            self._begins_as_record = at_end and _is_torn(data)
            self._only_zeros = True
        found, margin = self._find(data)
        if found < 0:
            found = len(data) if at_end else max(1, len(data) - margin)
        self._only_zeros = self._only_zeros and not data[:found].strip(b"\x00")
        return found

    def ends_at(self, offset: int, *, at_end: bool = False) -> Region | None:
        """The damage that ends here, if there is some; another may begin behind it."""
        begin, self._begin = self._begin, None
        if begin is None:
            return None
        # Zeros to the end: the file was extended, and the data never reached the disk.
        torn = at_end and (self._begins_as_record or self._only_zeros)
        return Region(begin, offset, "torn" if torn else "damaged")

    def _find(self, data: bytes) -> tuple[int, int]:
        """The offset of the next possible record or -1; how many bytes to keep if cut there."""
        if not self._is_old():
            return data.find(MARK, 1), len(MARK) - 1
        match = _OLD_BEGIN.search(data, 1)
        return (match.start() if match else -1), _OLD_HEADER.size

    def _is_old(self) -> bool:
        """True if the segment holds no frame of today's format: a segment has one format."""
        if self._old is None:
            self._old = not _contains_mark(self._path)
        return self._old


def _read(file: BinaryIO, size: int, left: int | None) -> bytes:
    return file.read(size if left is None else max(0, min(size, left)))


def _frames_in(data: bytes, offset: int) -> list[Frame]:
    """The records that are whole, up to the first that is not; the data begins at `offset`."""
    if data[:4] != MARK:
        return _old_frames_in(data, offset)
    unpack, size, crc32 = _HEADER.unpack_from, _HEADER.size, zlib.crc32
    found: list[Frame] = []
    begin, last = size, len(data)
    while begin <= last:
        mark, length, checksum = unpack(data, begin - size)
        end = begin + length
        if mark != MARK or not 0 < length <= MAX_RECORD_BYTES or end > last:
            break
        payload = data[begin:end]
        if crc32(payload, length) != checksum:
            break
        found.append((payload, offset + end))
        begin = end + size
    return found


def _old_frames_in(data: bytes, offset: int) -> list[Frame]:
    """The same for frames of earlier versions."""
    unpack, size, crc32 = _OLD_HEADER.unpack_from, _OLD_HEADER.size, zlib.crc32
    found: list[Frame] = []
    begin, last = size, len(data)
    while begin <= last:
        length, checksum = unpack(data, begin - size)
        end = begin + length
        if not 0 < length <= MAX_RECORD_BYTES or end > last:
            break
        payload = data[begin:end]
        if crc32(payload) != checksum:
            break
        found.append((payload, offset + end))
        begin = end + size
    return found


def _wanted_bytes(data: bytes) -> int | None:
    """The length of the frame that begins here, by its header; None: not a frame."""
    if data[:4] == MARK:
        _, length, _ = _HEADER.unpack_from(data)
        size = _HEADER.size
    else:
        length, _ = _OLD_HEADER.unpack_from(data)
        size = _OLD_HEADER.size
    # A length of 0: a region that the file system allocated and nothing wrote to.
    return size + length if 0 < length <= MAX_RECORD_BYTES else None


def _is_garbage(data: bytes) -> bool:
    """True if these bytes can never become a record, whatever follows."""
    if len(data) < _HEADER.size:
        return False
    wanted = _wanted_bytes(data)
    return wanted is None or len(data) >= wanted


def _is_torn(data: bytes) -> bool:
    """True if the rest of a file is the beginning of a frame."""
    if len(data) < _HEADER.size:
        return data[:4] == MARK[: len(data[:4])] or data[3:4] in (b"", b"\x00", b"\x01")
    wanted = _wanted_bytes(data)
    return wanted is not None and wanted > len(data)


def _contains_mark(path: Path) -> bool:
    begun = b""
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            if MARK in begun + chunk:
                return True
            begun = chunk[-len(MARK) + 1 :]
    return False
