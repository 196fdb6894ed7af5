"""Resolves the named inputs of an import: files, folders, and archives, which are unpacked."""

import gzip
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from shared.importing import REJECTED
from shared.importing.mapping import MappingError

_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
_PACKED = (".gz", ".zip")
_DAMAGED = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class FoundTable:
    """One table to read.

    Attributes:
        name: what to call it, with the archive it is in.
        opened: a place where it lies unpacked for as long as it is read.
    """

    name: str
    opened: Callable[[Path], AbstractContextManager[Path]]


def sources(paths: list[Path]) -> list[FoundTable]:
    """Every table below the paths, in the order named, those of a folder by name.

    Raises:
        MappingError: a folder or an archive holds no table.
        OSError: a path cannot be read.
    """
    return [source for path in paths for source in _sources_of(path)]


def files_of(paths: list[Path]) -> list[Path]:
    """Every file that is read for these paths, packed ones as they lie there."""
    return [file for path in paths for file in (_tables_in(path) if path.is_dir() else [path])]


def _sources_of(path: Path) -> list[FoundTable]:
    if path.is_dir():
        found = [source for file in _tables_in(path) for source in _sources_of(file)]
        if not found:
            raise MappingError(f"{path} holds no table; looked for {', '.join(_TABLES + _PACKED)}")
        return found
    if path.exists() and not path.is_file():
        # the second of two reads of a pipe, as of <(zcat rows.csv.gz), would wait for ever
        raise MappingError(
            f"{path} is a pipe or a device, which cannot be read twice: save it as a file first"
        )
    if path.suffix.lower() == ".zip" and _begins_as_zip(path):
        return _members(path)
    if path.suffix.lower() == ".gz":
        return [FoundTable(path.name, lambda folder: _from_gzip(path, folder))]
    return [FoundTable(path.name, lambda _folder: nullcontext(path))]


def _tables_in(folder: Path) -> list[Path]:
    def is_table(path: Path) -> bool:
        name = path.name.lower()
        # files of rejected rows beside an input are not inputs
        if name.startswith((".", "_")) or name.endswith(REJECTED) or not path.is_file():
            return False
        return name.removesuffix(".gz").endswith(_TABLES) or name.endswith(".zip")

    return sorted(path for path in folder.rglob("*") if is_table(path))


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _members(path: Path) -> list[FoundTable]:
    with _unpacking(path, "ZIP archive"), zipfile.ZipFile(path) as archive:
        names = [name for name in sorted(archive.namelist())
                 if name.lower().endswith(_TABLES) and "__MACOSX" not in name]  # fmt: skip
    if not names:
        raise MappingError(f"{path} holds no table; looked for {', '.join(_TABLES)}")
    return [_member(path, name) for name in names]


def _member(path: Path, name: str) -> FoundTable:
    return FoundTable(f"{path.name}/{name}", lambda folder: _from_zip(path, name, folder))


@contextmanager
def _unpacking(path: Path, what: str) -> Iterator[None]:
    """Whatever a library says of an archive that is cut off, damaged or locked, as one sentence."""
    try:
        yield
    except (*_DAMAGED, RuntimeError) as error:
        raise OSError(
            f"{path.name} is not a whole {what}: {error}; pack it again, copy it again, or end its "
            "name with what it is"
        ) from error


@contextmanager
def _from_gzip(path: Path, folder: Path) -> Iterator[Path]:
    unpacked = folder / path.name.removesuffix(".gz")
    try:
        with (
            _unpacking(path, "gzip file"),
            gzip.open(path) as packed,
            unpacked.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
        yield unpacked
    finally:
        unpacked.unlink(missing_ok=True)


@contextmanager
def _from_zip(path: Path, name: str, folder: Path) -> Iterator[Path]:
    # file name only: the path of an archive member is not trusted (zip slip)
    unpacked = folder / Path(name).name
    try:
        with (
            _unpacking(path, "ZIP archive"),
            zipfile.ZipFile(path) as archive,
            archive.open(name) as packed,
            unpacked.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
        yield unpacked
    finally:
        unpacked.unlink(missing_ok=True)
