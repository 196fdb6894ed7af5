"""Rows sorted and partitioned on disk by DuckDB, in bounded memory.

Only files written by this process are read. Extensions are neither loaded nor fetched.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import UnderstudyError
from shared.sizes import MIB

if TYPE_CHECKING:
    import duckdb

SHARD = "shard"
ROW = "row"
_THREADS = 2
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
        query = (
            f"SELECT {', '.join(wanted)} "  # noqa: S608 - names of columns and paths, quoted
            f"FROM {_rows(files)}"
        )
        self._copy(query, to, f"PARTITION_BY ({SHARD})")

    def sort(self, files: Path, to: Path, columns: Sequence[str], order: Sequence[str]) -> None:
        """All rows in one file, ordered; what is unknown comes first.

        Raises:
            ShuffleFailed: no room on the disk, or a file that cannot be read.
        """
        by = ", ".join(f"{_name(name)} NULLS FIRST" for name in order)
        wanted = ", ".join(map(_name, columns))
        query = f"SELECT {wanted} FROM {_rows(files)} ORDER BY {by}"  # noqa: S608
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


def _rows(files: Path) -> str:
    """Files by a pattern of their names, in a folder that may have any name.

    One that is called as a pattern is written would not be found, and `amount=5` would take the
    place of the column.
    """
    pattern = Path(_WILDCARD.sub(r"[\g<0>]", str(files.parent))) / files.name
    return f"read_parquet({_text(pattern)}, hive_partitioning = false, file_row_number = true)"


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
