"""Features of a snapshot in a file: by shards of users, with the kernel that computes all others.

A user is whole in a shard, so each row meets the past it would meet in memory. The sums of
merchants cross users: they are computed first, by shards of merchants, and follow their rows.
A shard is a task of the run's executor: it reads files and writes files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
class _Part:
    """Positions of rows in the snapshot, ascending, and their features, in two files."""

    rows: Path
    features: Path
    height: int


def compute_sharded(snapshot: ScannedRows, place: Workplace) -> FloatMatrix:
    """The features of `batch.compute`, to the bit, as a mapped file in the order of the snapshot.

    Raises:
        ShuffleFailed: the disk is full.
        TaskFailed: names the shard and says why.
    """
    shards = place.shards(snapshot.height)
    sums = _merchant_pass(snapshot, place, shards)
    parts = _user_pass(snapshot, place, shards, sums)
    found = sum(part.height for part in parts)
    if found != snapshot.height:
        raise ShuffleFailed(f"the shards have {found} rows, the snapshot {snapshot.height}")
    path = place.folder / "features.f32"
    _merge(parts, snapshot.height, path)
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


def _user_pass(snapshot: ScannedRows, place: Workplace, shards: int, sums: Path) -> list[_Part]:
    """The features of every shard of users."""
    rows, features = place.folder / "users", place.new_folder("features")
    place.shuffler.partition(snapshot.path, rows, batch.USER_COLUMNS, key="user_id", shards=shards)
    asked = [
        _Shard(number, shard_files(rows, number), shard_files(sums, number))
        for number in range(shards)
    ]
    asked = [shard for shard in asked if shard.rows]
    parts = place.map(_compute_users, features, asked, _names("users", asked))
    _delete(asked)
    return parts


def _compute_users(to: Path, shard: _Shard) -> _Part:
    """Writes the features of one shard of users."""
    frame, seen = _read(shard.rows), _read(shard.sums)
    if seen.height != frame.height:
        raise ShuffleFailed(f"{seen.height} rows have sums of merchants, of {frame.height}")
    matrix = batch.compute_from(frame, seen.select(SUMS).to_numpy(order="c", writable=True))
    part = _Part(to / f"{shard.number:05d}.rows", to / f"{shard.number:05d}.f32", frame.height)
    with replacing(part.rows) as new:
        frame[ROW].to_numpy().tofile(new)
    with replacing(part.features) as new:
        matrix.tofile(new)
    return part


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


def _merge(parts: list[_Part], height: int, path: Path) -> None:
    """Blocks of rows in the order of the snapshot, each from a range of every part."""
    width = len(FEATURE_SET.names)
    opened = [
        (np.fromfile(part.rows, dtype=np.int64), map_matrix(part.features, width)) for part in parts
    ]
    with path.open("wb") as file:
        for start in range(0, height, _ROWS_PER_BLOCK):
            stop = min(start + _ROWS_PER_BLOCK, height)
            block = np.empty((stop - start, width), dtype=np.float32)
            for rows, features in opened:
                begin, end = np.searchsorted(rows, (start, stop))
                block[rows[begin:end] - start] = features[begin:end]
                release_pages(features)
            file.write(block.data)
    for part in parts:
        part.rows.unlink()
        part.features.unlink()
