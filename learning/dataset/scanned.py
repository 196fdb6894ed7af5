"""A snapshot as a Parquet file, of which a DataFrame in memory is the small case.

`ScannedRows` answers what the checks of a use case ask a DataFrame: a few columns, a slice, some
rows. Each answer is a DataFrame of what was asked for, and the file is read again for the next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

ROWS_PER_BATCH = 250_000


def _scan(path: Path) -> pl.LazyFrame:
    """One file, whatever its folders are called: no pattern, no columns out of names."""
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


@dataclass(frozen=True, slots=True)
class ScannedRows:
    """Rows [begin, end) of a Parquet file, in the file's order."""

    path: Path
    schema: pl.Schema
    begin: int
    end: int

    @classmethod
    def of(cls, path: Path) -> "ScannedRows":
        scan = _scan(path)
        height = int(scan.select(pl.len()).collect().item())
        return cls(path, scan.collect_schema(), 0, height)

    @property
    def height(self) -> int:
        return self.end - self.begin

    @property
    def columns(self) -> list[str]:
        return self.schema.names()

    def is_empty(self) -> bool:
        return self.height == 0

    def lazy(self) -> pl.LazyFrame:
        """The rows, of which only the columns that are used will be read."""
        return _scan(self.path).slice(self.begin, self.height)

    def select(self, *expressions: pl.Expr | str, **named: pl.Expr) -> pl.DataFrame:
        """Like a DataFrame's, over batches of rows."""
        return self.lazy().select(*expressions, **named).collect(engine="streaming")

    @overload
    def __getitem__(self, wanted: str) -> pl.Series: ...

    @overload
    def __getitem__(self, wanted: slice) -> "ScannedRows": ...

    def __getitem__(self, wanted: str | slice) -> "pl.Series | ScannedRows":
        """A column, or a range of rows, which is not read yet."""
        if isinstance(wanted, str):
            return self.select(wanted).to_series()
        begin, end, _ = wanted.indices(self.height)
        first = self.begin + begin
        return ScannedRows(self.path, self.schema, first, max(first, self.begin + end))

    def take(
        self, positions: npt.NDArray[np.int64], columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Rows at ascending positions; what lies between them is read, too."""
        names = list(columns or self.columns)
        frames = [pl.DataFrame(schema={name: self.schema[name] for name in names})]
        if len(positions):
            first, last = int(positions[0]), int(positions[-1])
            is_wanted = np.zeros(last - first + 1, dtype=np.bool_)
            is_wanted[positions - first] = True
            for at, rows in self[first : last + 1].batches(names):
                frames.append(rows.filter(pl.Series(is_wanted[at : at + rows.height])))
        return pl.concat(frames)

    def without(self, is_dropped: pl.Series, folder: Path) -> "ScannedRows":
        """A file of the other rows; this one is deleted."""
        path = folder / f"kept_{self.path.name}"
        with pq.ParquetWriter(path, self.schema.to_frame().to_arrow().schema) as writer:
            for at, rows in self.batches():
                kept = rows.filter(~is_dropped[at : at + rows.height])
                writer.write_table(kept.to_arrow())
        self.path.unlink()
        return ScannedRows.of(path)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """Position of the first row, and the rows, batch by batch."""
        for at in range(0, self.height, ROWS_PER_BATCH):
            part = self[at : at + ROWS_PER_BATCH]
            yield at, part.select(*(columns or self.columns))


Snapshot = pl.DataFrame | ScannedRows
"""Rows in memory, or in a file: what both answer is asked in one way."""


def rows_at(
    snapshot: Snapshot, positions: npt.NDArray[np.int64], columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Rows of a snapshot at ascending positions, whole or some columns of them."""
    if isinstance(snapshot, ScannedRows):
        return snapshot.take(positions, columns)
    chosen = snapshot if columns is None else snapshot.select(columns)
    return chosen[positions]
