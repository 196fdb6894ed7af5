"""The folders and files of both services that a backup holds.

Files that are replaced as a whole keep their content once they are open, whatever happens to their
name; files that grow are copied to the length that they had. So nothing is locked, and no push and
no rollback waits for a backup.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from pydantic import Field

from shared.errors import DataUnavailable
from shared.settings import (
    AbsolutePath,
    CandidateSettings,
    DataSettings,
    DriftReportSettings,
    RegistrySettings,
    load,
)
from shared.system.files import TEMPORARY_PREFIX
from usecases.settings import UseCaseSettings

ASIDE_PREFIX = "before-"
"""Folders into which a reset or a restore moved what there was."""
_IGNORED = {"README.md", "lock", ".lock", ".push.lock", ".write.lock"}
_GROWING = (".jsonl",)
_ATTEMPTS = 20


class BackupSettings(
    DataSettings, UseCaseSettings, RegistrySettings, CandidateSettings, DriftReportSettings
):
    """The folders of both services; every image has these, whichever service it holds."""

    journal_dir: AbsolutePath = Field(
        default=Path("var/journal"), description="Folder of the write-ahead log of decisions."
    )
    test_data_dir: AbsolutePath = Field(
        default=Path("test_data"), description="Folder of the held-out rows of past runs."
    )
    archive_dir: AbsolutePath = Field(
        default=Path("var/archive"), description="Folder of archived rows."
    )


def load_settings() -> BackupSettings:
    """Read the environment.

    Raises:
        SettingsError: names every variable that cannot be used, why, and the remedy.
    """
    return load(BackupSettings)


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """A folder of an instance, under the name that it has in an archive.

    Attributes:
        fixed: files that tell whether the folder changed while it was opened.
        last: the file that takes the rest into service, put in place last.
        kept: folders whose files stay when what was there is moved aside.
    """

    name: str
    folder: Path
    fixed: tuple[str, ...] = ()
    last: str = ""
    kept: tuple[str, ...] = ()

    def files(self) -> list[str]:
        """The files that count, relative to the folder."""
        return sorted(_files(self.folder, self.folder))

    def content(self) -> list[str]:
        """Names in the folder itself that hold something."""
        return sorted({name.split("/", 1)[0] for name in self.files()})


def journal_place(settings: BackupSettings) -> BackupFolder:
    return BackupFolder("journal", settings.journal_dir)


def registry_place(settings: BackupSettings) -> BackupFolder:
    pointer = "current_version.txt"
    fixed = (pointer, "ledger.json")
    # kept: a version that was revoked after the backup stays revoked
    return BackupFolder("registry", settings.prod_models_dir, fixed, pointer, kept=("revoked",))


def other_places(settings: BackupSettings) -> list[BackupFolder]:
    """The folders of the scheduler."""
    return [
        BackupFolder("candidates", settings.retrained_models_dir),
        BackupFolder("held_out", settings.test_data_dir),
        BackupFolder("drift", settings.drift_reports_dir),
        BackupFolder("archive", settings.archive_dir),
    ]


def keys_place(settings: BackupSettings) -> BackupFolder:
    return BackupFolder("keys", settings.keys_dir)


def key_places(settings: BackupSettings, names: Iterable[str]) -> list[BackupFolder]:
    """The folders of keys that these members of an archive need.

    Each is filled apart: in a container each is a volume, and the folder of all is read-only.
    """
    folders = sorted({name.split("/")[1] for name in names if name.count("/") > 1})
    return [BackupFolder(f"keys/{name}", settings.keys_dir / name) for name in folders]


def all_places(settings: BackupSettings) -> list[BackupFolder]:
    """Every folder of the main archive, in the order in which a restore fills them."""
    return [journal_place(settings), *other_places(settings), registry_place(settings)]


class OpenFiles:
    """The files of a place as they were at one moment, held open; use it as a context."""

    def __init__(self, place: BackupFolder) -> None:
        self._place = place
        self._stack = ExitStack()
        self.files: dict[str, tuple[BinaryIO, int]] = {}

    def __enter__(self) -> Self:
        """Open everything; again when the place changed meanwhile.

        Raises:
            DataUnavailable: it changes faster than it can be opened.
            OSError: a file cannot be read.
        """
        for _ in range(_ATTEMPTS):
            before = self._fixed()
            try:
                for name in self._place.files():
                    self._open(name)
            except FileNotFoundError:
                # A drained segment or a removed version: list the files again.
                self._stack.close()
                self.files = {}
                continue
            if before == self._fixed():
                return self
            self._stack.close()
            self.files = {}
        raise DataUnavailable(f"{self._place.folder} changes all the time; try again")

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, name: str) -> None:
        file = self._stack.enter_context((self._place.folder / name).open("rb"))
        size = os.fstat(file.fileno()).st_size
        if name.endswith(_GROWING):
            size = _end_of_last_line(file, size)
        self.files[name] = file, size

    def _fixed(self) -> list[bytes | None]:
        return [_content(self._place.folder / name) for name in self._place.fixed]


def _files(folder: Path, root: Path) -> Iterator[str]:
    try:
        found = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if _is_ignored(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), root)
        elif entry.is_file() and not _is_marker(entry.path, root):
            yield Path(entry.path).relative_to(root).as_posix()


def _is_ignored(name: str) -> bool:
    return name in _IGNORED or name.startswith((TEMPORARY_PREFIX, ASIDE_PREFIX))


def _is_marker(path: str, root: Path) -> bool:
    """The version that a worker runs now: restored, it would read as a crash inside it."""
    parts = Path(path).relative_to(root).parts
    return len(parts) == 2 and parts[0] == "crashes" and parts[1].startswith("worker-")


def _end_of_last_line(file: BinaryIO, size: int) -> int:
    content = file.read(size)
    return content.rfind(b"\n") + 1


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
