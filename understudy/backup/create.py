"""`understudy backup`: the journal first, then the database, then the files of both services.

A decision leaves the journal only once the database has it on its disk. So whatever was
acknowledged before the journal was opened is in the copy of the journal, or in that of the
database, which is made later; some are in both, and storing one twice is harmless.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from shared.clock import SystemClock, isoformat, to_datetime
from shared.system.files import make_folder
from shared.version import VERSION
from understudy.backup.archive import ArchiveRefused, ArchiveWriter, BackupManifest, new_archive
from understudy.backup.databases import database_of
from understudy.backup.places import (
    BackupFolder,
    BackupSettings,
    OpenFiles,
    journal_place,
    keys_place,
    other_places,
    registry_place,
)

_SIGNATURE = re.compile(r"versions/[^/]+/bundle\.sig")
_MOST_SIGNATURE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class MadeBackup:
    """The archives that were made."""

    path: Path
    manifest: BackupManifest
    keys: Path | None


def make_backup(settings: BackupSettings, target: Path, keys: Path | None) -> MadeBackup:
    """Back up an instance, which may be running.

    `target`: a file, or a folder that the archive gets a name in. `keys`: where the keys go; they
    are never in the archive itself.

    Raises:
        ArchiveRefused: the place is taken, or within what is backed up.
        DataUnavailable: the database cannot be read.
        OSError: a file cannot be read or written.
    """
    path = place_of(str(target))
    for one in filter(None, (path, keys)):
        _check_place(settings, one)
        make_folder(one.absolute().parent)
    manifest = _new_manifest(settings, "instance")
    with new_archive(path) as writer:
        _add_instance(settings, writer, manifest, path.absolute().parent)
    if keys is not None:
        with new_archive(keys) as writer:
            _add(keys_place(settings), writer)
            writer.finish(_completed(_new_manifest(settings, "keys")))
    return MadeBackup(path, manifest, keys)


def _add_instance(
    settings: BackupSettings, writer: ArchiveWriter, manifest: BackupManifest, beside: Path
) -> None:
    journal = journal_place(settings)
    # before the first file is opened: decisions acknowledged after this may be missing
    manifest.recovery_point = isoformat(SystemClock.now_us())
    with OpenFiles(journal) as held:
        database = database_of(settings.database_url.get_secret_value())
        manifest.database = database.kind
        manifest.revision = database.copy_into(writer, beside)
        _write(journal, held, writer)
    registry = registry_place(settings)
    with OpenFiles(registry) as held:
        _describe(held, manifest)
        _write(registry, held, writer)
    for place in other_places(settings):
        _add(place, writer)
    writer.finish(_completed(manifest))


def _add(place: BackupFolder, writer: ArchiveWriter) -> None:
    with OpenFiles(place) as held:
        _write(place, held, writer)


def _write(place: BackupFolder, held: OpenFiles, writer: ArchiveWriter) -> None:
    for name, (file, size) in held.files.items():
        writer.copy(f"{place.name}/{name}", file, size)


def _describe(registry: OpenFiles, manifest: BackupManifest) -> None:
    """The live version, and the keys that the versions are signed with."""
    keys = set()
    for name, (file, _) in registry.files.items():
        if name == "current_version.txt":
            manifest.live_version = file.read(64).decode(errors="replace").strip() or None
        elif _SIGNATURE.fullmatch(name):
            keys.add(file.read(_MOST_SIGNATURE_BYTES).decode(errors="replace").partition(":")[0])
    manifest.key_ids = sorted(keys)


def _new_manifest(settings: BackupSettings, kind: str) -> BackupManifest:
    now = isoformat(SystemClock.now_us())
    return BackupManifest.model_validate(
        {
            "kind": kind,
            "understudy_version": VERSION,
            "use_case": settings.use_case,
            "recovery_point": now,
            "completed_at": now,
        }
    )


def _completed(manifest: BackupManifest) -> BackupManifest:
    manifest.completed_at = isoformat(SystemClock.now_us())
    return manifest


def place_of(target: str) -> Path:
    """The archive's file: the one that is named, or one named by its instant in a folder."""
    if target.endswith("/") or Path(target).is_dir():
        now = to_datetime(SystemClock.now_us())
        return Path(target) / f"understudy-{now:%Y%m%dT%H%M%SZ}.backup"
    return Path(target)


def _check_place(settings: BackupSettings, path: Path) -> None:
    """An archive inside a folder that is backed up would be in the next one."""
    inside = (
        *(settings.journal_dir, settings.prod_models_dir, settings.retrained_models_dir),
        *(
            settings.test_data_dir,
            settings.drift_reports_dir,
            settings.archive_dir,
            settings.keys_dir,
        ),
    )
    for folder in inside:
        if path.resolve().is_relative_to(folder.resolve()):
            raise ArchiveRefused(f"{path} lies in {folder}, which is backed up; name another place")
