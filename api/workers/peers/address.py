"""Sockets of workers: one each, in a folder that only this user can enter."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
