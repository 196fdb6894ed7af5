"""The snapshot as a file, for histories that exceed memory: the rows of `read_snapshot`.

Rows of both logs are partitioned by their id, joined shard by shard by the code that joins them in
memory, and sorted by DuckDB. A shard is a task of the run's executor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from sqlalchemy import Engine, Table

from learning.dataset.large import Workplace
from learning.dataset.scanned import ScannedRows
from learning.dataset.shuffle import shard_files
from shared.system.files import replacing
from shared.tables.engine import database_errors
from shared.tables.schema import api_transaction_logs, label_changes, transaction_history_logs

from .snapshot import (
    ORDER,
    SCHEMA,
    as_known_then,
    first_ingested,
    known_rows,
    read_parts,
    read_replaced,
    replaced_then,
    union,
)

_ROWS_PER_PART = 250_000


def scan_snapshot(engine: Engine, as_of_us: int, place: Workplace) -> ScannedRows:
    """Every row ingested by `as_of_us`, each once, in the order of time.

    Raises:
        DataUnavailable: the database cannot be read, or holds what the schema does not allow.
        ShuffleFailed: the disk is full.
    """
    logs = {"history": transaction_history_logs, "scored": api_transaction_logs}
    with database_errors("read the transaction logs"):
        rows = {
            name: _write_parts(_parts(engine, table, as_of_us, place), place.new_folder(name))
            for name, table in logs.items()
        }
        replaced = _replaced(engine, as_of_us, place)
    joined = _join(rows, replaced, place)
    path = place.folder / "snapshot.parquet"
    place.shuffler.sort(joined / "*.parquet", path, list(SCHEMA), ORDER)
    _delete(joined)
    return ScannedRows.of(path)


def _parts(engine: Engine, table: Table, as_of_us: int, place: Workplace) -> Iterator[pl.DataFrame]:
    """The rows of a log: those of the database, then those of the lake."""
    yield from read_parts(engine, table, as_of_us)
    if place.lake is not None:
        for rows in place.lake.batches(table.name, list(SCHEMA)):
            yield known_rows(rows, as_of_us)


def _replaced(engine: Engine, as_of_us: int, place: Workplace) -> pl.DataFrame:
    """Labels that were replaced later, as they were then; of archived rows, too."""
    stored = read_replaced(engine, as_of_us)
    if place.lake is None:
        return stored
    old = place.lake.batches(label_changes.name, [*stored.columns, "replaced_at"])
    known = [replaced_then(rows, as_of_us) for rows in old]
    return pl.concat([stored, *known]).unique(maintain_order=True)


def _write_parts(parts: Iterator[pl.DataFrame], folder: Path) -> int:
    """Parts of a log as files; how many rows they have."""
    number = rows = waiting = 0
    chunks: list[pl.DataFrame] = []

    def flush() -> None:
        nonlocal number, waiting
        pl.concat(chunks).write_parquet(folder / f"{number:05d}.parquet")
        chunks.clear()
        number, waiting = number + 1, 0

    for chunk in parts:
        chunks.append(chunk)
        rows, waiting = rows + chunk.height, waiting + chunk.height
        if waiting >= _ROWS_PER_PART:
            flush()
    if chunks or not rows:
        chunks.append(SCHEMA.to_frame())
        flush()
    return rows


@dataclass(frozen=True, slots=True)
class _Part:
    """Files in which every transaction is whole: of the history, and of the rows scored here."""

    number: int
    history: list[Path]
    scored: list[Path]


def _join(rows: dict[str, int], replaced: pl.DataFrame, place: Workplace) -> Path:
    """Rows of both logs as known then, in files of one folder; each part is a task."""
    joined = place.new_folder("joined")
    labels = place.folder / "replaced.parquet"
    replaced.write_parquet(labels)
    is_split = place.lake is not None or all(rows.values())
    folders, parts = (_by_id if is_split else _as_read)(rows, place)
    if is_split or replaced.height:
        names = [f"part {part.number} of the snapshot" for part in parts]
        place.map(_join_part, (labels, joined), parts, names)
    else:
        # the rows of one log, as they were read: there is nothing to join
        for part in parts:
            part.history[0].rename(joined / f"{part.number:05d}.parquet")
    for folder in folders:
        _delete(folder)
    return joined


def _by_id(rows: dict[str, int], place: Workplace) -> tuple[list[Path], list[_Part]]:
    """Folders with both logs partitioned by transaction, and their parts."""
    shards = place.shards(sum(rows.values()))
    folders = []
    for name in rows:
        read, target = place.folder / name, place.folder / f"{name}_by_id"
        place.shuffler.partition(
            read / "*.parquet", target, list(SCHEMA), key="transaction_id", shards=shards
        )
        _delete(read)
        folders.append(target)
    parts = (
        _Part(number, *(shard_files(folder, number) for folder in folders))
        for number in range(shards)
    )
    return folders, list(parts)


def _as_read(rows: dict[str, int], place: Workplace) -> tuple[list[Path], list[_Part]]:
    """The files as written: one log only has rows, each once, so they are the parts."""
    folders = [place.folder / name for name in rows]
    files = [path for folder in folders for path in sorted(folder.glob("*.parquet"))]
    return folders, [_Part(number, [path], []) for number, path in enumerate(files)]


def _join_part(common: tuple[Path, Path], part: _Part) -> None:
    """Writes the rows of one part, each once, as known then."""
    labels, to = common
    history, scored = (first_ingested(_read(files)) for files in (part.history, part.scored))
    with replacing(to / f"{part.number:05d}.parquet") as new:
        as_known_then(union(history, scored), pl.read_parquet(labels, glob=False)).write_parquet(
            new
        )


def _read(paths: list[Path]) -> pl.DataFrame:
    frames = [pl.read_parquet(path, glob=False, hive_partitioning=False) for path in paths]
    known = (frame.select(list(SCHEMA)).match_to_schema(SCHEMA) for frame in frames)
    return pl.concat([SCHEMA.to_frame(), *known])


def _delete(folder: Path) -> None:
    """The space is needed for what comes next."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
