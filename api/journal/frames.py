"""Framing: length and CRC-32 before each record, so that a torn tail is told from a record."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct("<II")
_pack = _HEADER.pack
# No decision comes near this; a longer length is garbage, not a record.
MAX_RECORD_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024

Frame = tuple[bytes, int]
"""A record, and the offset behind it."""


def frame(payload: bytes) -> bytes:
    """The bytes of one record on disk."""
    return _pack(len(payload), zlib.crc32(payload)) + payload


def read_frames(path: Path, offset: int) -> Iterator[list[Frame]]:
    """Whole records from an offset on, many at a time.

    Ends silently before the first that is not whole.
    """
    with path.open("rb") as file:
        file.seek(offset)
        begun = b""
        # what is begun doubles, so that a long record is not copied for each chunk of it
        while chunk := file.read(max(_CHUNK_BYTES, len(begun))):
            data = begun + chunk
            found = _frames_in(data, offset)
            if found:
                yield found
                data = data[found[-1][1] - offset :]
                offset = found[-1][1]
            begun = data
            if _is_garbage(begun):
                return


def _frames_in(data: bytes, offset: int) -> list[Frame]:
    """The records that are whole, up to the first that is not; the data begins at `offset`."""
    unpack, size, crc32 = _HEADER.unpack_from, _HEADER.size, zlib.crc32
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


def _is_garbage(begun: bytes) -> bool:
    """Whether what is left can never become a record, however much follows."""
    if len(begun) < _HEADER.size:
        return False
    length, _ = _HEADER.unpack_from(begun)
    # A length of 0 is what a file system leaves where nothing was written.
    return not 0 < length <= MAX_RECORD_BYTES or len(begun) >= _HEADER.size + length
