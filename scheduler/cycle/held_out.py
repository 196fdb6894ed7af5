"""The held-out set of a run, kept with its digest so that a judgement can be repeated."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scheduler.cycle.shared_files import SharedFiles
from shared.bundle.version import Version
from shared.system.files import write_whole_within

_PREFIX, _SUFFIX = "held_out_", ".parquet"


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
        here = {path.name: path.read_bytes() for path in self._root.glob(f"{_PREFIX}*{_SUFFIX}")}
        erased = 0
        for name, content in (self._of_other_hosts(here) | here).items():
            rows = pl.read_parquet(content)
            if column not in rows.columns:
                continue
            kept = rows.filter(pl.col(column).ne_missing(entity))
            if kept.height == rows.height:
                continue
            erased += rows.height - kept.height
            if name in here:
                self._write(self._root / name, kept)
            elif self._shared is not None:
                self._shared.put(name, _as_bytes(kept))
        return erased

    def _of_other_hosts(self, here: Mapping[str, bytes]) -> dict[str, bytes]:
        """Sets that are only in the store."""
        if self._shared is None:
            return {}
        known = self._shared.files()
        if known is None:
            raise OSError(None, "the store (STORE_URL) is away: erase again when it is back")
        names = [info.key for info in known if info.key.endswith(_SUFFIX)]
        read = {name: self._shared.get(name) for name in names if name not in here}
        return {name: content for name, content in read.items() if content is not None}

    def _write(self, path: Path, rows: pl.DataFrame) -> str:
        content = _as_bytes(rows)
        digest = hashlib.sha256(content).hexdigest()
        listed = f"{digest}  {path.name}\n".encode()
        write_whole_within(path, content)
        write_whole_within(digest_path(path), listed)
        if self._shared is not None:
            self._shared.put(path.name, content)
            self._shared.put(digest_path(path).name, listed)
        return digest

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


def _as_bytes(rows: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # one chunk: chunks become row groups, and equal rows must give equal bytes
    rows.rechunk().write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def digest_path(path: Path) -> Path:
    """Beside a file, the one with its sha256."""
    return path.with_name(f"{path.name}.sha256")
