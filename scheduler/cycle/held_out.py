"""The held-out set of a run, kept with its digest so that a judgement can be repeated."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scheduler.cycle.shared_files import SharedFiles
from shared.bundle.version import Version
from shared.storage.object_store import StoreAway
from shared.system.files import write_whole_within

_PREFIX, _SUFFIX = "held_out_", ".parquet"
_AGAIN = "erase again when it is back"


@dataclass(frozen=True, slots=True)
class HeldOutFile:
    """Path and digest of the held-out rows."""

    path: Path
    sha256: str


class HeldOutStore:
    """`test_data/held_out_X.Y.Z.parquet` and beside it a file `sha256sum -c` can read.

    `shared`: the same sets for schedulers on other hosts.
    """

    def __init__(self, root: Path, keep: int, shared: SharedFiles | None = None) -> None:
        self._root = root
        self._keep = keep
        self._shared = shared

    def save(self, version: Version, rows: pl.DataFrame) -> HeldOutFile:
        path = self._root / f"{_PREFIX}{version}{_SUFFIX}"
        digest = self._write(path, rows)
        self._prune()
        return HeldOutFile(path, digest)

    def erase(self, column: str, entity: str) -> int:
        """Take an entity's rows out of every kept set; returns how many there were.

        A set that had some gets a new digest: a judgement on it can be repeated without them.
        """
        erased: dict[str, int] = {}
        for path in sorted(self._root.glob(f"{_PREFIX}*{_SUFFIX}")):
            kept, erased[path.name] = _without(path.read_bytes(), column, entity)
            if erased[path.name]:
                self._write_here(path, kept)
        if self._shared is not None:
            # each host's copy is looked at: an earlier attempt may have reached only this one
            for name, count in _erase_shared(self._shared, column, entity).items():
                erased[name] = max(count, erased.get(name, 0))
        return sum(erased.values())

    def _write(self, path: Path, rows: pl.DataFrame) -> str:
        files = self._write_here(path, rows)
        for name, content in files.items():
            if self._shared is not None:
                self._shared.put(name, content)
        return hashlib.sha256(files[path.name]).hexdigest()

    def _write_here(self, path: Path, rows: pl.DataFrame) -> dict[str, bytes]:
        """The set and its digest on this host's disk."""
        files = _files_of(path.name, rows)
        for name, content in files.items():
            write_whole_within(path.with_name(name), content)
        return files

    def _prune(self) -> None:
        files = sorted(
            self._root.glob(f"{_PREFIX}*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns
        )
        for path in files[: -self._keep]:
            path.unlink()
            digest_path(path).unlink(missing_ok=True)
        known = None if self._shared is None else self._shared.files()
        if self._shared is None or known is None:
            return
        sets = [info for info in known if info.key.endswith(_SUFFIX)]
        for info in sorted(sets, key=lambda info: info.modified_us)[: -self._keep]:
            self._shared.delete(info.key)
            self._shared.delete(digest_path(Path(info.key)).name)
        newest = files[-self._keep :]
        names = [name.name for path in newest for name in (path, digest_path(path))]
        self._shared.put_missing(self._root, names, known)


def _files_of(name: str, rows: pl.DataFrame) -> dict[str, bytes]:
    """The files of a set by name: its rows, and their digest."""
    content = _as_bytes(rows)
    listed = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
    return {name: content, digest_path(Path(name)).name: listed}


def _without(content: bytes, column: str, entity: str) -> tuple[pl.DataFrame, int]:
    """A set without an entity's rows, and how many those were."""
    rows = pl.read_parquet(content)
    if column not in rows.columns:
        return rows, 0
    kept = rows.filter(pl.col(column).ne_missing(entity))
    return kept, rows.height - kept.height


def _erase_shared(shared: SharedFiles, column: str, entity: str) -> dict[str, int]:
    """Rows taken out of each set in the store.

    Raises OSError: the store was not reached, so the rows may not be reported as erased.
    """
    known = shared.files()
    if known is None:
        raise OSError(None, f"the store (STORE_URL) is away: {_AGAIN}")
    names = [info.key for info in known if info.key.endswith(_SUFFIX)]
    try:
        erased = {name: _erase_from(shared, name, column, entity) for name in names}
    except StoreAway as error:
        raise OSError(None, f"{error.strerror}: {_AGAIN}") from error
    return {name: rows for name, rows in erased.items() if rows is not None}


def _erase_from(shared: SharedFiles, name: str, column: str, entity: str) -> int | None:
    """The number of rows taken out of one set; None: it was unreadable, and is removed."""
    content = shared.read(name)
    if content is None:
        # Incomplete, or not written by a scheduler: unused, and it may hold the rows.
        shared.remove(name)
        return None
    kept, erased = _without(content, column, entity)
    for part, written in _files_of(name, kept).items() if erased else ():
        shared.write(part, written)
    return erased


def _as_bytes(rows: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # one chunk: chunks become row groups, and equal rows must give equal bytes
    rows.rechunk().write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def digest_path(path: Path) -> Path:
    """Beside a file, the one with its sha256."""
    return path.with_name(f"{path.name}.sha256")
