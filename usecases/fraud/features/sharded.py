"""Features of a snapshot in a file: by shards of users, with the kernel that computes all others.

A user is whole in a shard, so each row meets the past it would meet in memory. The sums of
merchants cross users: they are computed first, by shards of merchants, and follow their rows.
A shard is a task of the run's executor: it reads files and writes files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from learning.dataset.large import Workplace
from learning.dataset.mapped import map_matrix, release_pages
from learning.dataset.scanned import ScannedRows
from learning.dataset.shuffle import ROW, SHARD, ShuffleFailed, shard_files
from shared.features.tiles import SUMS
from shared.system.files import replacing
from shared.usecase.serving import FloatMatrix

from . import batch
from .catalogue import FEATURE_SET

_USER_SHARD = "user_shard"
_ROWS_PER_BLOCK = 100_000
ROWS_PER_SEGMENT = 2_000_000
"""Features of shards are kept by ranges of the snapshot, so that what is merged can be deleted."""


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard and the files of its rows.

    Attributes:
        sums: files with the sums of the rows' merchants.
    """

    number: int
    rows: list[Path]
    sums: list[Path]


@dataclass(frozen=True, slots=True)
class _Segments:
    """Folders of the features of shards: one for each range of `rows` rows of the snapshot."""

    root: Path
    rows: int

    def folder(self, number: int) -> Path:
        return self.root / f"{number:05d}"

    def numbers(self, height: int) -> range:
        return range(-(-height // self.rows))


def compute_sharded(
    snapshot: ScannedRows, place: Workplace, rows_per_segment: int = ROWS_PER_SEGMENT
) -> FloatMatrix:
    """The features of `batch.compute`, to the bit, as a mapped file in the order of the snapshot.

    Raises:
        ShuffleFailed: the disk is full.
        TaskFailed: names the shard and says why.
    """
    shards = place.shards(snapshot.height)
    sums = _merchant_pass(snapshot, place, shards)
    segments = _Segments(place.new_folder("features"), rows_per_segment)
    found = _user_pass(snapshot, place, shards, sums, segments)
    if found != snapshot.height:
        raise ShuffleFailed(f"the shards have {found} rows, the snapshot {snapshot.height}")
    path = place.folder / "features.f32"
    _merge(segments, snapshot.height, path)
    return map_matrix(path, len(FEATURE_SET.names))


def _merchant_pass(snapshot: ScannedRows, place: Workplace, shards: int) -> Path:
    """The sums of every row, in the shard of its user."""
    rows, sums = place.folder / "merchants", place.new_folder("sums")
    place.shuffler.partition(
        snapshot.path,
        rows,
        batch.MERCHANT_COLUMNS,
        key="merchant_id",
        shards=shards,
        also={_USER_SHARD: "user_id"},
    )
    asked = [_Shard(number, shard_files(rows, number), []) for number in range(shards)]
    asked = [shard for shard in asked if shard.rows]
    for number in range(shards):
        (sums / f"{SHARD}={number}").mkdir(exist_ok=True)
    place.map(_sum_merchants, sums, asked, _names("merchants", asked))
    _delete(asked)
    return sums


def _sum_merchants(to: Path, shard: _Shard) -> None:
    """Writes the sums of one shard of merchants into the shards of their rows' users."""
    frame = _read(shard.rows)
    found = pl.DataFrame(batch.merchant_sums(frame), schema=list(SUMS))
    found = found.with_columns(frame[ROW], frame[_USER_SHARD])
    for (user_shard,), part in found.group_by(_USER_SHARD):
        path = to / f"{SHARD}={user_shard}" / f"{shard.number:05d}.parquet"
        with replacing(path) as new:
            part.drop(_USER_SHARD).write_parquet(new)


def _user_pass(
    snapshot: ScannedRows, place: Workplace, shards: int, sums: Path, segments: _Segments
) -> int:
    """The features of every shard of users; returns the number of rows."""
    rows = place.folder / "users"
    for number in segments.numbers(snapshot.height):
        segments.folder(number).mkdir()
    place.shuffler.partition(snapshot.path, rows, batch.USER_COLUMNS, key="user_id", shards=shards)
    asked = [
        _Shard(number, shard_files(rows, number), shard_files(sums, number))
        for number in range(shards)
    ]
    asked = [shard for shard in asked if shard.rows]
    heights = place.map(_compute_users, segments, asked, _names("users", asked))
    _delete(asked)
    return sum(heights)


def _compute_users(segments: _Segments, shard: _Shard) -> int:
    """Writes the features of one shard of users: positions in the snapshot, ascending, and rows."""
    frame, seen = _read(shard.rows), _read(shard.sums)
    if seen.height != frame.height:
        raise ShuffleFailed(f"{seen.height} rows have sums of merchants, of {frame.height}")
    matrix = batch.compute_from(frame, seen.select(SUMS).to_numpy(order="c", writable=True))
    rows = frame[ROW].to_numpy()
    for number in range(int(rows[0]) // segments.rows, int(rows[-1]) // segments.rows + 1):
        bounds = (number * segments.rows, (number + 1) * segments.rows)
        begin, end = np.searchsorted(rows, bounds)
        path = segments.folder(number) / f"{shard.number:05d}"
        with replacing(path.with_suffix(".rows")) as new:
            rows[begin:end].tofile(new)
        with replacing(path.with_suffix(".f32")) as new:
            matrix[begin:end].tofile(new)
    return frame.height


def _names(what: str, shards: Sequence[_Shard]) -> list[str]:
    return [f"shard {shard.number} of {what}" for shard in shards]


def _read(paths: list[Path]) -> pl.DataFrame:
    """The rows of a shard in the order of the snapshot."""
    frames = (pl.read_parquet(path, glob=False, hive_partitioning=False) for path in paths)
    return pl.concat(frames).sort(ROW)


def _delete(shards: Sequence[_Shard]) -> None:
    """The space is needed for what comes next."""
    for shard in shards:
        for path in (*shard.rows, *shard.sums):
            path.unlink()


def _merge(segments: _Segments, height: int, path: Path) -> None:
    """All features in the order of the snapshot; what has been read is deleted on the way."""
    with path.open("wb") as file:
        for number in segments.numbers(height):
            start = number * segments.rows
            _merge_segment(
                segments.folder(number), (start, min(start + segments.rows, height)), file
            )


def _merge_segment(folder: Path, rows: tuple[int, int], to: BinaryIO) -> None:
    """Blocks of rows, each from a range of every shard."""
    width = len(FEATURE_SET.names)
    parts = sorted(folder.glob("*.rows"))
    opened = [
        (np.fromfile(part, dtype=np.int64), map_matrix(part.with_suffix(".f32"), width))
        for part in parts
    ]
    for start in range(*rows, _ROWS_PER_BLOCK):
        stop = min(start + _ROWS_PER_BLOCK, rows[1])
        block = np.empty((stop - start, width), dtype=np.float32)
        for positions, features in opened:
            begin, end = np.searchsorted(positions, (start, stop))
            block[positions[begin:end] - start] = features[begin:end]
            release_pages(features)
        to.write(block.data)
    for part in parts:
        part.unlink()
        part.with_suffix(".f32").unlink()
