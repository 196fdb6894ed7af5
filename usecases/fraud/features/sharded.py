"""Features of a snapshot in a file: by shards of users, with the kernel that computes all others.

A user is whole in a shard, so each row meets the past it would meet in memory. The sums of
merchants cross users: they are computed first, by shards of merchants, and follow their rows.
"""

from pathlib import Path

import numpy as np
import polars as pl

from learning.dataset.large import Workplace
from learning.dataset.mapped import map_matrix, release_pages
from learning.dataset.scanned import ScannedRows
from learning.dataset.shuffle import ROW, SHARD, shard_files
from shared.features.tiles import SUMS
from shared.usecase.serving import FloatMatrix

from . import batch
from .catalogue import FEATURE_SET

_USER_SHARD = "user_shard"
_ROWS_PER_BLOCK = 100_000


def compute_sharded(snapshot: ScannedRows, place: Workplace) -> FloatMatrix:
    """The features of `batch.compute`, to the bit, as a mapped file in the order of the snapshot.

    Raises:
        ShuffleFailed: the disk is full.
    """
    shards = place.shards(snapshot.height)
    sums = _merchant_pass(snapshot, place, shards)
    parts = _user_pass(snapshot, place, shards, sums)
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
    for number in range(shards):
        place.interrupted()
        frame = _read(shard_files(rows, number))
        if frame is None:
            continue
        found = pl.DataFrame(batch.merchant_sums(frame), schema=list(SUMS))
        found = found.with_columns(frame[ROW], frame[_USER_SHARD])
        for (user_shard,), part in found.group_by(_USER_SHARD):
            folder = sums / f"{SHARD}={user_shard}"
            folder.mkdir(exist_ok=True)
            part.drop(_USER_SHARD).write_parquet(folder / f"{number:05d}.parquet")
    return sums


def _user_pass(
    snapshot: ScannedRows, place: Workplace, shards: int, sums: Path
) -> list[tuple[Path, Path]]:
    """For every shard of users a file of its rows' positions, ascending, and one of features."""
    rows, features = place.folder / "users", place.new_folder("features")
    columns = batch.USER_COLUMNS
    place.shuffler.partition(snapshot.path, rows, columns, key="user_id", shards=shards)
    parts = []
    for number in range(shards):
        place.interrupted()
        frame, seen = (_read(shard_files(folder, number)) for folder in (rows, sums))
        if frame is None or seen is None:
            continue
        matrix = batch.compute_from(frame, seen.select(SUMS).to_numpy(order="c", writable=True))
        part = features / f"{number:05d}.rows", features / f"{number:05d}.f32"
        frame[ROW].to_numpy().tofile(part[0])
        matrix.tofile(part[1])
        parts.append(part)
        for path in (*shard_files(rows, number), *shard_files(sums, number)):
            path.unlink()
    return parts


def _read(paths: list[Path]) -> pl.DataFrame | None:
    """The rows of a shard in the order of the snapshot."""
    frames = [pl.read_parquet(path, hive_partitioning=False) for path in paths]
    return pl.concat(frames).sort(ROW) if frames else None


def _merge(parts: list[tuple[Path, Path]], height: int, path: Path) -> None:
    """Blocks of rows in the order of the snapshot, each from a range of every part."""
    width = len(FEATURE_SET.names)
    opened = [
        (np.fromfile(rows, dtype=np.int64), map_matrix(features, width)) for rows, features in parts
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
        for each in part:
            each.unlink()
