"""Framing: length and CRC-32 before each record, so that a torn tail is told from a record."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct("<II")
_pack = _HEADER.pack
# No decision comes near this; a longer length is garbage, not a record.
MAX_RECORD_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


def frame(payload: bytes) -> bytes:
    """The bytes of one record on disk."""
    return _pack(len(payload), zlib.crc32(payload)) + payload


def read_frames(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """Whole records from an offset on, each with the offset behind it.

    Ends silently before the first that is not whole.
    """
    with path.open("rb") as file:
        file.seek(offset)
        begun = b""
        while chunk := file.read(_CHUNK_BYTES):
            data = begun + chunk
            whole = 0
            for payload, end in _frames_in(data):
                yield payload, offset + end
                whole = end
            begun = data[whole:]
            offset += whole
            if _is_garbage(begun):
                return


def _frames_in(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The records that are whole, up to the first that is not."""
    unpack, size, crc32 = _HEADER.unpack_from, _HEADER.size, zlib.crc32
    begin, last = size, len(data)
    while begin <= last:
        length, checksum = unpack(data, begin - size)
        end = begin + length
        if not 0 < length <= MAX_RECORD_BYTES or end > last:
            return
        payload = data[begin:end]
        if crc32(payload) != checksum:
            return
        yield payload, end
        begin = end + size


def _is_garbage(begun: bytes) -> bool:
    """Whether what is left can never become a record, however much follows."""
    if len(begun) < _HEADER.size:
        return False
    length, _ = _HEADER.unpack_from(begun)
    # A length of 0 is what a file system leaves where nothing was written.
    return not 0 < length <= MAX_RECORD_BYTES or len(begun) >= _HEADER.size + length
