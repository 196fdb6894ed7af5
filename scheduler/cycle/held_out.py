"""The held-out set of a run, kept with its digest so that a judgement can be repeated."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shared.bundle.version import Version
from shared.system.files import write_whole_within

_PREFIX, _SUFFIX = "held_out_", ".parquet"


@dataclass(frozen=True, slots=True)
class HeldOutFile:
    """Path and digest of the held-out rows."""

    path: Path
    sha256: str


class HeldOutStore:
    """`test_data/held_out_X.Y.Z.parquet` and beside it a file `sha256sum -c` can read."""

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep

    def save(self, version: Version, rows: pl.DataFrame) -> HeldOutFile:
        path = self._root / f"{_PREFIX}{version}{_SUFFIX}"
        digest = self._write(path, rows)
        self._prune()
        return HeldOutFile(path, digest)

    def erase(self, column: str, entity: str) -> int:
        """Take an entity's rows out of every kept set; returns how many there were.

        A set that had some gets a new digest: a judgement on it can be repeated without them.
        """
        erased = 0
        for path in self._root.glob(f"{_PREFIX}*{_SUFFIX}"):
            rows = pl.read_parquet(path)
            if column not in rows.columns:
                continue
            kept = rows.filter(pl.col(column).ne_missing(entity))
            if kept.height < rows.height:
                erased += rows.height - kept.height
                self._write(path, kept)
        return erased

    def _write(self, path: Path, rows: pl.DataFrame) -> str:
        buffer = io.BytesIO()
        rows.write_parquet(buffer, compression="zstd")
        content = buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        write_whole_within(path, content)
        write_whole_within(digest_path(path), f"{digest}  {path.name}\n".encode())
        return digest

    def _prune(self) -> None:
        files = sorted(
            self._root.glob(f"{_PREFIX}*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns
        )
        for path in files[: -self._keep]:
            path.unlink()
            digest_path(path).unlink(missing_ok=True)


def digest_path(path: Path) -> Path:
    """Beside a file, the one with its sha256."""
    return path.with_name(f"{path.name}.sha256")
