"""Files that are there as a whole or not at all: temporary name, fsync, rename."""

import os
import secrets
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file; a kill at any instant leaves the old content or the new."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(4)}")
    try:
        _write(temporary, content, durable=durable)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def write_directory(path: Path, files: dict[str, bytes]) -> None:
    """Put a whole new directory in place."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(4)}")
    temporary.mkdir(parents=True)
    for name, content in files.items():
        _write(temporary / name, content, durable=True)
    sync_directory(temporary)
    temporary.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames inside a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, *, durable: bool) -> None:
    with path.open("xb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
