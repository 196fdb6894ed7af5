"""Checks of `understudy doctor` that need no service: folders, disks and keys."""

import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.errors import UnderstudyError
from shared.keys.store import KeyStore
from shared.keys.tokens import MIN_TOKEN_CHARACTERS
from shared.settings import SettingGroup
from shared.sizes import GIB, MIB
from shared.system.files import DiskSpace, disk_space, existing_folder

LEAST_FREE_BYTES = GIB
KEYS = "KEYS_DIR"
SMALL = frozenset({"RUN_DIR", "LOGS_DIR"})
"""Folders that a small file system of their own is enough for."""
_NOT_OURS = stat.S_IWGRP | stat.S_IRWXO
# The public halves of keys, which other services read.
_PUBLIC = "trust"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; a fault has a remedy."""

    name: str
    state: Literal["ok", "note", "fault"]
    found: str
    remedy: str = ""


def folders_of(groups: Sequence[SettingGroup]) -> dict[str, Path]:
    """Variable to folder, for every setting that names one."""
    return {
        name.upper(): value
        for group in groups
        for name, value in group
        if name.endswith("_dir") and isinstance(value, Path)
    }


def check_folder(name: str, folder: Path) -> Check:
    """Checks that files can be made in a folder, or the folder itself if it does not exist yet.

    Keys that are there need not be writable: a container mounts those of others to read.
    """
    if name == KEYS and folder.is_dir() and any(path.is_file() for path in folder.rglob("*")):
        return Check(name, "ok", f"{folder} has keys")
    there = existing_folder(folder)
    remedy = f"let this user write there (chown, chmod, a writable mount), or set {name}"
    if not there.is_dir():
        return Check(name, "fault", f"{there} is a file, not a folder", f"set {name}")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Check(name, "fault", f"{there}: {error.strerror}", remedy)
    if there == folder:
        return Check(name, "ok", f"{folder} is writable")
    return Check(name, "ok", f"{folder} is not there yet and can be made")


def check_disks(
    folders: Iterable[Path],
    space: Callable[[Path], DiskSpace | None] = disk_space,
) -> Iterator[Check]:
    """Free space of each disk that holds one of the folders."""
    seen: set[int] = set()
    for folder in folders:
        there = existing_folder(folder)
        device = there.stat().st_dev
        disk = space(there)
        if device in seen or disk is None:
            continue
        seen.add(device)
        found = f"{disk.free_bytes / MIB:,.0f} MiB free at {there}"
        if disk.free_bytes < LEAST_FREE_BYTES:
            least = f"free at least {LEAST_FREE_BYTES / MIB:,.0f} MiB: a full journal stops scoring"
            yield Check("disk", "fault", found, least)
        else:
            yield Check("disk", "ok", found)


def check_keys(keys_dir: Path) -> Iterator[Check]:
    """Checks that keys and tokens exist, are readable, and are closed to other users."""
    if not keys_dir.is_dir():
        yield Check("keys", "note", f"{keys_dir} is not there yet", "the first start makes it")
        return
    try:
        store = KeyStore(keys_dir)
        trusted, signing = store.trusted_keys(), store.signing_key_id()
        yield _trust(keys_dir, len(trusted), signing)
        files = [path for path in sorted(keys_dir.rglob("*")) if path.is_file()]
        faults = [fault for path in files if (fault := _fault_of(path, keys_dir)) is not None]
    except (UnderstudyError, OSError) as error:
        yield Check("keys", "fault", str(error), "let this user read KEYS_DIR")
        return
    yield from faults
    tokens = sum(path.suffix == ".token" for path in files)
    if not faults:
        yield Check("keys", "ok", f"{len(files)} files in {keys_dir}, {tokens} of them tokens")


def _trust(keys_dir: Path, trusted: int, signing: str | None) -> Check:
    if not trusted:
        missing = f"no key in {keys_dir / _PUBLIC}: no bundle can be pushed"
        return Check("keys", "note", missing, "the scheduler makes one at its first start")
    signs = "none signs here" if signing is None else f"{signing} signs"
    return Check("keys", "ok", f"{trusted} trusted, {signs}")


def _fault_of(path: Path, keys_dir: Path) -> Check | None:
    if path.relative_to(keys_dir).parts[0] == _PUBLIC:
        return None
    mode = path.stat().st_mode
    if mode & _NOT_OURS:
        found = f"{path} has mode {stat.S_IMODE(mode):04o}: others may read or change it"
        return Check("keys", "fault", found, f"chmod 600 {path}")
    if path.suffix == ".token" and len(path.read_text().strip()) < MIN_TOKEN_CHARACTERS:
        found = f"{path} is shorter than {MIN_TOKEN_CHARACTERS} characters"
        return Check("keys", "fault", found, f"delete {path} and start the API again")
    return None
