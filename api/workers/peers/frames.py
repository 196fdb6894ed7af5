"""Frames between workers: a fixed header, a small head and a body.

| field | bytes | in a call | in an answer |
|---|---|---|---|
| size | 4 | of head and body | the same |
| kind | 1 | CALL | ANSWER, EXPIRED or ALIVE |
| call | 8 | a number that the answer repeats | the call's |
| number | 2 | the operation | the HTTP status |
| head_bytes | 2 | of the context, as JSON | of the header lines |
| expires_ns | 8 | the monotonic clock of the host, by which it has to be read | 0 |
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

CALL, ANSWER, EXPIRED, ALIVE = range(4)
MAX_FRAME_BYTES = 64 * 1024 * 1024

_HEADER = struct.Struct("<IBQHHQ")
_pack, _unpack, _SIZE = _HEADER.pack, _HEADER.unpack_from, _HEADER.size


class Frame(NamedTuple):
    kind: int
    call: int
    number: int
    head: bytes
    body: bytes
    expires_ns: int


class FrameError(Exception):
    """Raised when the other side does not speak this format."""


def encoded(
    kind: int,
    call: int = 0,
    number: int = 0,
    head: bytes = b"",
    body: bytes = b"",
    *,
    expires_ns: int = 0,
) -> bytes:
    """The bytes of one frame."""
    size = len(head) + len(body)
    return b"".join((_pack(size, kind, call, number, len(head), expires_ns), head, body))


class FrameReader:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with this data.

        Raises:
            FrameError: this is not a frame.
        """
        data = self._rest + data if self._rest else data
        begin, last = 0, len(data)
        while begin + _SIZE <= last:
            size, kind, call, number, head_bytes, expires_ns = _unpack(data, begin)
            if size > MAX_FRAME_BYTES or head_bytes > size or kind > ALIVE:
                raise FrameError("a frame of an unknown kind or size")
            middle = begin + _SIZE
            end = middle + size
            if end > last:
                break
            cut = middle + head_bytes
            yield Frame(kind, call, number, data[middle:cut], data[cut:end], expires_ns)
            begin = end
        self._rest = data[begin:]
