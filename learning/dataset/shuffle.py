"""Rows sorted and partitioned on disk by DuckDB, in bounded memory.

Only files written by this process are read. Extensions are neither loaded nor fetched.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from shared.errors import UnderstudyError
from shared.sizes import MIB

if TYPE_CHECKING:
    import duckdb

SHARD = "shard"
ROW = "row"
_THREADS = 2
_BYTES_PER_ROW = 320
"""The most that a row takes which waits to be written; with the columns of a snapshot 215."""

_WILDCARD = re.compile(r"[\[*?]")


class ShuffleFailed(UnderstudyError):
    """Raised when rows cannot be sorted or partitioned; names the reason."""


@dataclass(frozen=True, slots=True)
class Shuffler:
    """A DuckDB of its own for each statement.

    Attributes:
        folder: where it spills what does not fit into memory.
    """

    folder: Path
    memory_bytes: int

    def partition(
        self,
        files: Path,
        to: Path,
        columns: Sequence[str],
        *,
        key: str,
        shards: int,
        also: Mapping[str, str] | None = None,
    ) -> None:
        """Rows into `to/shard=N/`: those that have the same `key` are in one shard.

        A partitioned write holds all its rows until its end. So rows are written in passes that
        fit into the memory, each with files of its own; of a hundred million rows in one pass 21
        GB were spilled, and read and written again and again.

        `also` adds the shard that a row has by another column, under a name. Rows of one file get
        their position in it as `row`.

        Raises:
            ShuffleFailed: no room on the disk, or a file that cannot be read.
        """
        wanted = [f"file_row_number AS {ROW}", *map(_name, columns)]
        wanted += [
            f"{_shard(column, shards)} AS {_name(name)}" for name, column in (also or {}).items()
        ]
        wanted.append(f"{_shard(key, shards)} AS {SHARD}")
        most = max(1, self.memory_bytes // _BYTES_PER_ROW)
        for number, rows in enumerate(_passes(sorted(files.parent.glob(files.name)), most)):
            self._copy(
                f"SELECT {', '.join(wanted)} FROM {rows}",  # noqa: S608 - names and paths, quoted
                to,
                f"PARTITION_BY ({SHARD})",
                "OVERWRITE_OR_IGNORE",
                f"FILENAME_PATTERN 'pass_{number:05d}_{{i}}'",
            )

    def sort(self, files: Path, to: Path, columns: Sequence[str], order: Sequence[str]) -> None:
        """All rows in one file, ordered; what is unknown comes first.

        Raises:
            ShuffleFailed: no room on the disk, or a file that cannot be read.
        """
        by = ", ".join(f"{_name(name)} NULLS FIRST" for name in order)
        wanted = ", ".join(map(_name, columns))
        query = f"SELECT {wanted} FROM {_read_parquet([files])} ORDER BY {by}"  # noqa: S608
        self._copy(query, to)

    def _copy(self, query: str, to: Path, *options: str) -> None:
        told = ", ".join(("FORMAT parquet", "COMPRESSION zstd", *options))
        with self._connected() as connection:
            connection.execute(f"COPY ({query}) TO {_text(to)} ({told})")

    @contextmanager
    def _connected(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        import duckdb  # noqa: PLC0415 - only a history that exceeds memory needs it

        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self.memory_bytes // MIB}MiB",
            "temp_directory": str(self.folder),
            "threads": _THREADS,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        try:
            with duckdb.connect(config=config) as connection:
                # a bar would be written into the log of the run
                connection.execute("SET enable_progress_bar = false")
                yield connection
        except duckdb.Error as error:
            raise ShuffleFailed(f"rows cannot be shuffled in {self.folder}: {error}") from error


def _passes(files: Sequence[Path], most: int) -> Iterator[str]:
    """All rows as relations of SQL of at most `most` rows: some small files, or a part of one."""
    small, waiting = list[Path](), 0
    for file in files:
        rows = pq.read_metadata(file).num_rows
        if waiting + rows > most and small:
            yield _read_parquet(small)
            small, waiting = [], 0
        if rows <= most:
            small, waiting = [*small, file], waiting + rows
            continue
        for begin in range(0, rows, most):
            yield (
                f"{_read_parquet([file])} "
                f"WHERE file_row_number >= {begin} AND file_row_number < {begin + most}"
            )
    if small:
        yield _read_parquet(small)


def _read_parquet(files: Sequence[Path]) -> str:
    listed = ", ".join(_text(_unlike_a_pattern(file.parent) / file.name) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = false, file_row_number = true)"


def _unlike_a_pattern(folder: Path) -> Path:
    """A folder that may be called as a pattern is written, as a pattern that it alone matches.

    It would not be found otherwise, and `amount=5` would take the place of the column.
    """
    return Path(_WILDCARD.sub(r"[\g<0>]", str(folder)))


def _text(path: Path) -> str:
    """A path as a literal of SQL."""
    text = str(path).replace("'", "''")
    return f"'{text}'"


def _name(column: str) -> str:
    text = column.replace('"', '""')
    return f'"{text}"'


def _shard(column: str, shards: int) -> str:
    return f"CAST(hash({_name(column)}) % {shards} AS INTEGER)"


def shard_files(folder: Path, number: int) -> list[Path]:
    """The files of one shard; none where it has no row."""
    return sorted((folder / f"{SHARD}={number}").glob("*.parquet"))
