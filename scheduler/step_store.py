"""Finished steps on disk: one folder for each, named by a hash of all that went into it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from learning.dataset.large import UNFINISHED
from shared.clock import wall_ns
from shared.system.files import move, sync_tree

DIGESTS = "digests.json"
ABANDONED_SECONDS = 86_400


def key_of(inputs: Mapping[str, Any]) -> str:
    """The same for the same inputs, on any machine."""
    text = json.dumps(dict(inputs), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class Damaged(ValueError):
    """Raised when a stored folder was altered; names the file."""


class ArtefactStore:
    """`root/STEP/KEY/`, each folder renamed into place when all of it is on disk.

    A folder holds the sha256 of each of its files: a flipped bit in a matrix or a graph is
    read without complaint by every format there is.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def find(self, step: str, key: str) -> Path | None:
        """The folder, marked as used just now, with every byte as it was kept.

        Raises:
            Damaged: a file is missing, added or changed.
            OSError: a file is there and cannot be read.
        """
        folder = self._root / step / key
        try:
            os.utime(folder)
        except OSError:
            return None
        _verify(folder, f"{step}/{key}")
        return folder

    def keep(self, step: str, key: str, write: Callable[[Path], None]) -> None:
        """Let `write` fill a folder, and move it into place; an existing one is kept."""
        place = self._root / step / key
        unfinished = place.with_name(f"{UNFINISHED}{key}-{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            write(unfinished)
            (unfinished / DIGESTS).write_text(_digests(unfinished, f"{step}/{key}"))
            sync_tree(unfinished)
            move(unfinished, place)
        except FileExistsError:
            pass
        except OSError:
            if not place.is_dir():
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def drop(self, step: str, key: str) -> None:
        shutil.rmtree(self._root / step / key, ignore_errors=True)

    def clear(self) -> int:
        """Delete every kept result; returns how many there were."""
        folders = [folder for _used, _size, folder in self._folders()]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        return len(folders)

    def prune(self) -> int:
        """Delete the least recently used results until the rest fits; returns bytes deleted."""
        folders = sorted(self._folders(), key=lambda item: item[0], reverse=True)
        kept = deleted = 0
        for _used, size, folder in folders:
            if kept + size <= self._max_bytes:
                kept += size
            else:
                shutil.rmtree(folder, ignore_errors=True)
                deleted += size
        return deleted

    def _folders(self) -> Iterator[tuple[float, int, Path]]:
        """Last use, size and path of each entry; leftovers of dead processes are deleted."""
        for folder in self._root.glob("*/*"):
            try:
                used = folder.stat().st_mtime
                if folder.name.startswith(UNFINISHED):
                    _remove_abandoned(folder, used)
                    continue
                size = sum(file.stat().st_size for file in folder.rglob("*"))
            except FileNotFoundError:  # pruned by another process meanwhile
                continue
            yield used, size, folder


def _remove_abandoned(folder: Path, used: float) -> None:
    if wall_ns() / 1e9 - used > ABANDONED_SECONDS:
        shutil.rmtree(folder, ignore_errors=True)


def _verify(folder: Path, name: str) -> None:
    try:
        kept = (folder / DIGESTS).read_text()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise Damaged(f"{DIGESTS} is missing or no text") from error
    if kept != _digests(folder, name):
        raise Damaged("the sha256 of a file does not match the stored one")


def _digests(folder: Path, name: str) -> str:
    """Every file's digest, and the result's key: a folder moved to another key is rejected."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {str(path.relative_to(folder)): _sha256(path) for path in files if path.name != DIGESTS}
    return json.dumps({"of": name, "files": found}, indent=1)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
