"""The room of the disk that holds a folder."""

import os
from pathlib import Path
from typing import NamedTuple


class DiskSpace(NamedTuple):
    """The room of a disk, for a user who is not root."""

    total_bytes: int
    free_bytes: int


def disk_space(folder: Path) -> DiskSpace | None:
    """The space of the disk that holds the folder; None where it cannot be read."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        # does not exist yet, or cannot be read: the write itself will report it
        return None
    return DiskSpace(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)


def existing_folder(path: Path) -> Path:
    """The folder, or the nearest one above it that is there already."""
    return next((one for one in (path, *path.parents) if one.exists()), path)
