"""Checks of a SQLite file's place: a local disk, in a folder that can be written.

SQLite's processes talk through shared memory beside the file. Two machines, or two mounts of one
network folder, do not share memory: each would overwrite what the other wrote, without an error.
"""

import os
import re
from pathlib import Path

import structlog
from sqlalchemy.engine import URL

from shared.errors import SettingsError

SQLITE = "sqlite"
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {
    "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "smb", "smb2", "smb3", "smbfs",
    "fuse.ceph-fuse", "fuse.cephfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "davfs",
}  # fmt: skip
# File systems of virtual machines or user programs: whether they are local is unknown.
_UNSURE = {"9p", "drvfs", "virtiofs", "vboxsf", "prl_fs", "vmhgfs"}
ELSEWHERE = (
    "put the file on a disk of this machine, or use PostgreSQL "
    "(postgresql://user:password@host/database)"
)


def sqlite_path(url: URL) -> str | None:
    """The file of a SQLite database; None where there is none, or only SQLite knows which."""
    path = url.database
    if url.get_backend_name() != SQLITE or not path or path.startswith((":memory:", "file:")):
        return None
    return path


def check_storage_place(path: Path) -> None:
    """Refuse a place that cannot hold a database; nothing is made.

    Raises:
        SettingsError: it is a folder, or lies on a network file system.
    """
    if path.is_dir():
        raise SettingsError(f"DATABASE_URL: {path} is a folder; name a file in it")
    kind = file_system_of(path, _mounts())
    if kind in _NETWORK:
        raise SettingsError(
            f"DATABASE_URL: {path} lies on a network file system ({kind}), where a second mount "
            f"damages the database and loses rows; {ELSEWHERE}"
        )


def warn_of_doubtful_place(url: URL) -> None:
    """Log that it is unknown whether other machines open the file too."""
    path = sqlite_path(url)
    kind = "" if path is None else file_system_of(Path(path), _mounts())
    if kind in _UNSURE or kind.startswith("fuse"):
        structlog.get_logger().warning(
            "database_may_be_on_a_network",
            file_system=kind,
            danger="a second machine or mount that opens it damages the database",
            remedy=ELSEWHERE,
        )


def make_folder(path: Path) -> None:
    """Make the folder of a database, closed to others; one that exists stays as it is.

    Raises:
        SettingsError: it cannot be made.
    """
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"DATABASE_URL: cannot make the folder of {path}: {error.strerror}; name another place"
        ) from error


def file_system_of(path: Path, mountinfo: str) -> str:
    """The kind of file system on which a file lies or would lie; "" where it is not known."""
    real, best, kind = os.path.realpath(path), "", ""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5 or not after:
            continue
        mount = _unescaped(fields[4])
        # A later mount of the same folder hides an earlier one.
        if _is_below(real, mount) and len(mount) >= len(best):
            best, kind = mount, after.split(" ", 1)[0]
    return kind


def _is_below(path: str, mount: str) -> bool:
    return mount in {"/", path} or path.startswith(f"{mount}/")


def _unescaped(text: str) -> str:
    """The kernel writes blanks and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(errors="replace")
    except OSError:  # not Linux
        return ""
