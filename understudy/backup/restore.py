"""`understudy restore`: check everything, stage everything, then put it in place by renames.

A kill before the last step leaves everything as it was, beside files with temporary names. The last
step takes journal, database, candidates and, at its end, the pointer to the live version: a kill in
it leaves no live version, and another restore with `--force` puts everything in place.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.clock import SystemClock, to_datetime
from shared.errors import SettingsError, UnderstudyError
from shared.keys.store import KeyStore
from shared.system.files import (
    TEMPORARY_PREFIX,
    make_folder,
    move,
    sync_directory,
    sync_tree,
    write_whole_within,
)
from understudy.backup.archive import Archive, ArchiveRefused, BackupManifest, opened
from understudy.backup.databases import DatabaseCopy, check_revision, database_of
from understudy.backup.places import (
    ASIDE_PREFIX,
    BackupFolder,
    BackupSettings,
    all_places,
    key_places,
)


@dataclass(frozen=True, slots=True)
class Restored:
    """The restored content; `aside` names the folders that hold the previous content."""

    manifest: BackupManifest
    aside: str | None


def check_archive(path: Path) -> BackupManifest:
    """The manifest of an archive, after all of it was compared with it.

    Raises:
        ArchiveRefused: it is damaged, or of another program.
    """
    with opened(path, "instance") as archive:
        check_revision(archive.manifest.revision)
        return archive.manifest


def restore(settings: BackupSettings, path: Path, keys: Path | None, *, force: bool) -> Restored:
    """Put an instance in place from its archives; no service may run.

    Raises:
        ArchiveRefused: says why nothing was changed.
        DataUnavailable: the database cannot be reached, or took no copy.
        SettingsError: a folder cannot be used.
        OSError: a file cannot be written; what is missing is named by the error.
    """
    with ExitStack() as stack:
        archive = stack.enter_context(opened(path, "instance"))
        held = None if keys is None else stack.enter_context(opened(keys, "keys"))
        database = database_of(settings.database_url.get_secret_value())
        _check_fits(settings, archive.manifest, database)
        _check_keys(settings, archive.manifest, held)
        work = [(place, archive) for place in all_places(settings)]
        if held is not None:
            names = (member.path for member in held.manifest.files)
            work = [*((place, held) for place in key_places(settings, names)), *work]
        stack.enter_context(no_service_runs(settings.journal_dir))
        found = [*database.content(), *_content(place for place, _ in work)]
        if found and not force:
            raise ArchiveRefused(
                f"there is data already: {'; '.join(found)}; nothing was changed. --force moves "
                "files aside, and replaces the tables of a server"
            )
        aside = f"{ASIDE_PREFIX}restore-{to_datetime(SystemClock.now_us()):%Y%m%dT%H%M%SZ}"
        _put_all(work, database, archive, aside)
        _note_in_audit_trail(settings.prod_models_dir, archive.manifest, path)
        return Restored(archive.manifest, aside if found else None)


def _put_all(
    work: Sequence[tuple[BackupFolder, Archive]],
    database: DatabaseCopy,
    archive: Archive,
    aside: str,
) -> None:
    staged = [_Staged(place) for place, _ in work]
    try:
        for one, (_, source) in zip(staged, work, strict=True):
            one.fill(source)
        database.stage(archive)
        # The registry is last: until its pointer exists no version is served.
        *first, registry = staged
        for one in first:
            one.put(aside)
        database.put(aside)
        registry.put(aside)
    finally:
        database.discard()
        for one in staged:
            one.discard()


class _Staged:
    """The content of one place, in a folder with a temporary name within it."""

    def __init__(self, place: BackupFolder) -> None:
        self._place = place
        self._folder = place.folder / f"{TEMPORARY_PREFIX}restore-{secrets.token_hex(4)}"

    def fill(self, archive: Archive) -> None:
        make_folder(self._place.folder)
        self._folder.mkdir(mode=0o700)
        for member in archive.manifest.below(self._place.name):
            target = self._folder / member.path.removeprefix(f"{self._place.name}/")
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            archive.extract(member, target)
        sync_tree(self._folder)

    def put(self, aside: str) -> None:
        folder, before = self._place.folder, self._place.folder / aside
        names = sorted(path.name for path in self._folder.iterdir())
        # also folders that contain only a lock file
        in_the_way = {*self._place.content(), *(name for name in names if (folder / name).exists())}
        for name in sorted(in_the_way):
            before.mkdir(exist_ok=True, mode=0o700)
            move(folder / name, before / name)
            if name in self._place.kept:
                _copy_missing(before / name, self._folder / name)
        names = sorted(path.name for path in self._folder.iterdir())
        for name in sorted(names, key=self._place.last.__eq__):
            move(self._folder / name, folder / name)
        sync_directory(self._place.folder)

    def discard(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _copy_missing(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.is_file() and not (target / path.name).exists():
            write_whole_within(target / path.name, path.read_bytes(), mode=0o600)


def _note_in_audit_trail(registry: Path, manifest: BackupManifest, archive: Path) -> None:
    """The trail of what is served names the restore, where the API is installed."""
    try:
        from api.registry.audit import AuditTrail  # noqa: PLC0415 - not in the scheduler's image
    except ModuleNotFoundError:
        return
    AuditTrail(registry / "audit.jsonl", SystemClock()).write(
        "restore",
        "understudy restore",
        f"restored from {archive.name}",
        version=manifest.live_version,
        recovery_point=manifest.recovery_point,
    )


def _content(places: Iterator[BackupFolder]) -> list[str]:
    return [
        f"{place.folder}/ ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for place in places
        if (names := place.content())
    ]


def _check_fits(settings: BackupSettings, manifest: BackupManifest, database: DatabaseCopy) -> None:
    check_revision(manifest.revision)
    if manifest.use_case != settings.use_case:
        raise ArchiveRefused(
            f"the archive is of the use case {manifest.use_case!r}, and USE_CASE is "
            f"{settings.use_case!r}; set USE_CASE={manifest.use_case}"
        )
    if manifest.database != database.kind:
        raise ArchiveRefused(
            f"the archive holds a database of {manifest.database}, and DATABASE_URL names one of "
            f"{database.kind}; name an empty one of {manifest.database}"
        )


def _check_keys(settings: BackupSettings, manifest: BackupManifest, held: Archive | None) -> None:
    """Versions whose keys are not trusted here would be refused at the start."""
    trusted = set(KeyStore(settings.keys_dir).accepted_keys())
    if held is not None:
        paths = (Path(member.path) for member in held.manifest.files)
        trusted = {path.stem for path in paths if "trust" in path.parts}
    lacking = [name for name in manifest.key_ids if name not in trusted]
    if lacking:
        raise ArchiveRefused(
            f"no key here is trusted that signed the versions ({', '.join(lacking)}): name the "
            "archive of the keys with --keys, or put the keys into KEYS_DIR first"
        )


@contextmanager
def no_service_runs(
    journal: Path, refused: type[UnderstudyError] = ArchiveRefused
) -> Iterator[None]:
    """A running service holds its journal's lock; holding it here keeps one from starting.

    Raises:
        UnderstudyError: of the kind `refused`: a service runs.
        SettingsError: the folder cannot be read.
    """
    held: list[int] = []
    try:
        try:
            _hold_locks(journal, held, refused)
        except PermissionError as error:
            raise SettingsError(f"cannot look into {journal}: {error.strerror}") from error
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _hold_locks(journal: Path, held: list[int], refused: type[UnderstudyError]) -> None:
    """Every lock of the journal, each as a descriptor that `held` gets at once."""
    for lock in [journal / "lock", *journal.glob("*/lock")]:
        if not lock.exists():
            continue
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        held.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise refused("a scoring service runs: stop it first") from error
