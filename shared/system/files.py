"""Atomic file writes, and the room of the disk that takes them.

A file exists whole or not at all, also after a kill or a power cut. Each write goes to a temporary
name in the same directory, is synced, gets its name, and then the directory is synced: without the
last step a power cut may forget the name.

| function             | what is at the path afterwards                                    |
|----------------------|-------------------------------------------------------------------|
| `write_whole`        | the new content; the old one until then                           |
| `write_whole_within` | the same, in a folder that is made first                          |
| `create_once`        | the content of the first writer                                   |
| `write_directory`    | a directory with all its files                                    |
| `replacing`          | what the block wrote; not synced                                  |
| `move`               | the file or directory that was elsewhere                          |
| `append_line`        | one line more                                                     |
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

TEMPORARY_PREFIX = ".tmp-"
"""A file or directory of this name is what a killed process left; its owner may delete it."""

_DEFAULT_MODE, _OWNER_ONLY = 0o666, 0o600
_OTHERS, _WORLD = 0o077, 0o007
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.EACCES, errno.ENOTSUP})
# macOS: fsync alone leaves data in the drive's cache
_FULL_FSYNC = getattr(fcntl, "F_FULLFSYNC", None)


def write_whole(
    path: Path, content: bytes, *, durable: bool = True, mode: int = _DEFAULT_MODE
) -> None:
    """Replace a file; a reader finds the old content or the new.

    `durable` makes it survive a power cut and costs two syncs. The umask applies to `mode`.
    """
    with _temporary(path, content, mode, durable=durable) as temporary:
        temporary.replace(path)
    if durable:
        sync_directory(path.parent)


def write_whole_within(path: Path, content: bytes, *, mode: int = _DEFAULT_MODE) -> None:
    """Replace a file in a folder that may have to be made first; survives a power cut."""
    make_folder(path.parent)
    write_whole(path, content, mode=mode)


def create_once(path: Path, content: bytes, mode: int = _OWNER_ONLY) -> bool:
    """Put a file in place unless one is there; two processes that race agree on one.

    Nothing is written where it is there: a mounted secret is read-only.

    Returns:
        Whether this call created it.
    """
    if path.exists():
        return False
    make_folder(path.parent, mode=0o700)
    with _temporary(path, content, mode, durable=True) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    sync_directory(path.parent)
    return True


def write_directory(path: Path, files: Mapping[str, bytes]) -> None:
    """Put a whole new directory in place."""
    temporary = _beside(path)
    temporary.mkdir(parents=True)
    for name, content in files.items():
        _write(temporary / name, content, _DEFAULT_MODE, durable=True)
    sync_directory(temporary)
    move(temporary, path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; its file gets the name when the block ends well."""
    temporary = _beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Rename within a file system; both directories know it after a power cut."""
    source.replace(target)
    sync_directory(target.parent)
    if source.parent != target.parent:
        sync_directory(source.parent)


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file; on disk before this returns."""
    is_new = not path.exists()
    with path.open("ab") as file:
        file.write(line + b"\n")
        file.flush()
        sync_file(file.fileno())
    if is_new:
        sync_directory(path.parent)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it, each on disk before the next."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True, mode=mode)
    sync_directory(path.parent)


def sync_tree(folder: Path) -> None:
    """Sync every file and directory below a folder, and the folder itself."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_directory(path)
        else:
            sync_path(path)
    sync_directory(folder)


def sync_file(descriptor: int) -> None:
    """Data and length of a file are on disk when this returns."""
    if _FULL_FSYNC is not None:
        fcntl.fcntl(descriptor, _FULL_FSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def sync_path(path: Path) -> None:
    """Sync a file that is not open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Names made, changed and removed in a directory are on disk, where it can be synced."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def keep_files_private() -> None:
    """Sets the umask: files of this process and its children are for their own user only.

    Databases, journals, logs and reports hold rows. Each composition root calls this before it
    makes any file.
    """
    os.umask(os.umask(_OTHERS) | _OTHERS)


def close_to_others(path: Path) -> None:
    """Remove the permissions of other users from a file that an older release made.

    Permissions of its group stay: an operator may have granted them. The file is not opened; one of
    another user is not changed.
    """
    with suppress(OSError):
        mode = path.stat().st_mode
        if mode & _WORLD:
            path.chmod(mode & 0o7777 & ~_WORLD)


@contextmanager
def _temporary(path: Path, content: bytes, mode: int, *, durable: bool) -> Iterator[Path]:
    """A temporary file beside the path; removed at the end, unless it was renamed."""
    temporary = _beside(path)
    try:
        _write(temporary, content, mode, durable=durable)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(4)}")


def _write(path: Path, content: bytes, mode: int, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            sync_file(file.fileno())


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
