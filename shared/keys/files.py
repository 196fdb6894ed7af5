"""Secret files: written whole, readable by their owner alone."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def create_once(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Put a file in place unless one is there; two processes that race agree on one.

    Returns:
        Whether this call created it.
    """
    with _written(path, content, mode) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    return True


def replace_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put a file in place of another; a reader finds the old one or the new."""
    with _written(path, content, mode) as temporary:
        temporary.replace(path)


@contextmanager
def _written(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A temporary file beside the path, on disk as a whole; gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
