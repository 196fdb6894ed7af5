"""The wire between workers: a socket each, in a folder that only this user can enter, and frames.

A frame is a fixed header, a small head and a body:

| field | bytes | in a call | in an answer |
|---|---|---|---|
| size | 4 | of head and body | the same |
| kind | 1 | CALL | ANSWER, EXPIRED or ALIVE |
| call | 8 | a number that the answer repeats | the call's |
| number | 2 | the operation | the HTTP status |
| head_bytes | 2 | of the context, as JSON | of the header lines |
| expires_ns | 8 | the monotonic clock of the host, by which it has to be read | 0 |
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from shared.errors import SettingsError

# The kernel's limit of a Unix socket's address, without the terminating byte.
_MAX_PATH_BYTES = 107


def prepared(folder: Path) -> Path:
    """The folder, private to this user.

    Raises:
        SettingsError: it cannot be made so.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"RUN_DIR: cannot make {folder} private: {error.strerror}; "
            "several workers need a directory of their own to meet in"
        ) from error
    return folder


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """The socket's path, or a short name of the same place where the path is too long."""
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def listen(path: Path) -> socket.socket:
    """A socket that takes connections there, in the place of one that a dead process left.

    Raises:
        SettingsError: there can be none.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"RUN_DIR: cannot open a socket in {path.parent}: {error.strerror}"
        ) from error
    listener.setblocking(False)
    return listener


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
