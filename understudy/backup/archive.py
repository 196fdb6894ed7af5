"""The archive: a zip with a manifest of the size and the SHA-256 of every member.

Nothing of an archive is used before the whole of it was read and compared with its manifest.
"""

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.clock import wall_ns
from shared.errors import UnderstudyError
from shared.system.files import TEMPORARY_PREFIX, move, sync_file

FORMAT: Literal["understudy-backup"] = "understudy-backup"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_MANIFEST_MAX_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_STORED = (".zip", ".png", ".parquet")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class ArchiveRefused(UnderstudyError):
    """Raised when an archive cannot be made, or cannot be used; nothing was changed."""


class Member(BaseModel):
    """A file of an archive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    size: int = Field(ge=0)
    sha256: str


class BackupManifest(BaseModel):
    """The content of an archive, and its point in time.

    Attributes:
        recovery_point: every decision that was acknowledged before is in it.
        database: `sqlite` or `postgresql`; None in an archive of keys.
        revision: of the database's schema.
        key_ids: the keys that the versions in it are signed with.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["understudy-backup"] = FORMAT
    format_version: int = FORMAT_VERSION
    kind: Literal["instance", "keys"]
    understudy_version: str
    use_case: str
    recovery_point: str
    completed_at: str
    database: Literal["sqlite", "postgresql"] | None = None
    revision: str | None = None
    live_version: str | None = None
    key_ids: list[str] = Field(default_factory=list)
    files: list[Member] = Field(default_factory=list)

    def below(self, place: str) -> list[Member]:
        """The members of one place."""
        return [member for member in self.files if member.path.startswith(f"{place}/")]


class ArchiveWriter:
    """Adds members, and counts them for the manifest."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.members: list[Member] = []

    @contextmanager
    def member(self, path: str) -> "Iterator[MemberWriter]":
        """A member to write in pieces."""
        info = zipfile.ZipInfo(path)
        is_packed = path.endswith(_STORED)
        info.compress_type = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._file.open(info, "w", force_zip64=True) as file:
            writer = MemberWriter(file)
            yield writer
        self.members.append(Member(path=path, size=writer.size, sha256=writer.digest.hexdigest()))

    def copy(self, path: str, source: BinaryIO, size: int) -> None:
        """The first `size` bytes of a file."""
        source.seek(0)
        with self.member(path) as target:
            left = size
            while left:
                piece = source.read(min(left, _CHUNK_BYTES))
                if not piece:
                    raise ArchiveRefused(f"{path} became shorter while it was copied; try again")
                target.write(piece)
                left -= len(piece)

    def finish(self, manifest: BackupManifest) -> None:
        manifest.files = self.members
        self._file.writestr(MANIFEST, manifest.model_dump_json(indent=1))


class MemberWriter:
    """A member that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes | memoryview) -> None:
        self._file.write(piece)
        self.digest.update(piece)
        self.size += len(piece)


@contextmanager
def new_archive(path: Path) -> Iterator[ArchiveWriter]:
    """Write an archive that is there whole, under its name, or not at all.

    Raises:
        ArchiveRefused: the name is taken.
        OSError: it cannot be written there.
    """
    if path.exists():
        raise ArchiveRefused(f"{path} is there already; name another file")
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{wall_ns()}")
    try:
        with temporary.open("xb") as file:
            temporary.chmod(0o600)
            with zipfile.ZipFile(file, "w", compresslevel=1) as packed:
                yield ArchiveWriter(packed)
            file.flush()
            sync_file(file.fileno())
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Archive:
    """An archive whose every byte was compared with its manifest."""

    def __init__(self, path: Path, file: zipfile.ZipFile, manifest: BackupManifest) -> None:
        self.path = path
        self.manifest = manifest
        self._file = file

    @contextmanager
    def reading(self, member: Member) -> Iterator[BinaryIO]:
        with self._file.open(member.path) as source:
            yield source  # type: ignore[misc]

    def extract(self, member: Member, target: Path) -> None:
        """Write a member to a new file, on disk when this returns."""
        with self.reading(member) as source, target.open("xb") as file:
            target.chmod(0o600)
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
            file.flush()
            sync_file(file.fileno())


@contextmanager
def opened(path: Path, kind: Literal["instance", "keys"]) -> Iterator[Archive]:
    """An archive, after all of it was checked.

    Raises:
        ArchiveRefused: says in one sentence what is wrong with it.
    """
    try:
        file = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ArchiveRefused(f"there is no archive {path}") from error
    except _UNREADABLE as error:
        raise ArchiveRefused(
            f"{path} is not an archive of `understudy backup`, or its end is cut off"
        ) from error
    with file:
        manifest = _manifest(path, file)
        if manifest.kind != kind:
            raise ArchiveRefused(f"{path} is an archive of {manifest.kind!r}, not of {kind!r}")
        _check_names(path, file, manifest)
        for member in manifest.files:
            _check(path, file, member)
        yield Archive(path, file, manifest)


def _manifest(path: Path, file: zipfile.ZipFile) -> BackupManifest:
    foreign = f"{path} is not an archive of `understudy backup`"
    try:
        if file.getinfo(MANIFEST).file_size > _MANIFEST_MAX_BYTES:
            raise ArchiveRefused(f"{path} is damaged: its manifest is too long")
        raw = file.read(MANIFEST)
    except KeyError as error:
        raise ArchiveRefused(f"{foreign}: it has no manifest") from error
    except _UNREADABLE as error:
        raise ArchiveRefused(f"{path} is damaged: its manifest cannot be read") from error
    with suppress(ValueError):
        newer = BaseFormat.model_validate_json(raw)
        if newer.format == FORMAT and newer.format_version > FORMAT_VERSION:
            raise ArchiveRefused(
                f"{path} has format {newer.format_version}, made by a newer version; install that"
            )
    try:
        return BackupManifest.model_validate_json(raw)
    except ValidationError as error:
        raise ArchiveRefused(f"{foreign}: its manifest is another program's") from error


class BaseFormat(BaseModel):
    """The members of a manifest that every format has."""

    format: str
    format_version: int


def _check_names(path: Path, file: zipfile.ZipFile, manifest: BackupManifest) -> None:
    """The same names in the zip as in the manifest, each once, none outside its place."""
    stated = [member.path for member in manifest.files]
    found = [name for name in file.namelist() if name != MANIFEST]
    if sorted(stated) != sorted(found) or len(set(stated)) != len(stated):
        odd = sorted(set(stated) ^ set(found))[:3] or ["a name twice"]
        raise ArchiveRefused(f"{path} is damaged: its manifest does not fit it ({', '.join(odd)})")
    for name in stated:
        parts = PurePosixPath(name).parts
        if len(parts) < 2 or ".." in parts or name.startswith("/") or "\\" in name or "\0" in name:
            raise ArchiveRefused(f"{path} is refused: {name[:80]!r} leads out of its folder")


def _check(path: Path, file: zipfile.ZipFile, member: Member) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with file.open(member.path) as source:
            while size <= member.size and (piece := source.read(_CHUNK_BYTES)):
                digest.update(piece)
                size += len(piece)
    except _UNREADABLE as error:
        raise ArchiveRefused(f"{path} is damaged: {member.path} cannot be read") from error
    if size != member.size or digest.hexdigest() != member.sha256:
        raise ArchiveRefused(f"{path} is damaged: {member.path} is not what was backed up")
