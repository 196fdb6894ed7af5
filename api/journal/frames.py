"""Framing: length and CRC-32 before each record, so that a torn tail is told from a record."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<II")
_pack = _HEADER.pack
# No decision comes near this; a longer length is garbage, not a record.
MAX_RECORD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """One record and where the next one begins."""

    payload: bytes
    end: int


def frame(payload: bytes) -> bytes:
    """The bytes of one record on disk."""
    return _pack(len(payload), zlib.crc32(payload)) + payload


def read_frames(path: Path, offset: int) -> Iterator[Frame]:
    """Whole records from an offset on; ends silently before the first that is not whole."""
    with path.open("rb") as file:
        file.seek(offset)
        while True:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            length, checksum = _HEADER.unpack(header)
            # A length of 0 is what a file system leaves where nothing was written.
            if not 0 < length <= MAX_RECORD_BYTES:
                return
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            offset += _HEADER.size + length
            yield Frame(payload, offset)
