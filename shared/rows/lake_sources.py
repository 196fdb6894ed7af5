"""Sources of declared rows beyond plain local files: Delta tables, and Parquet in a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from shared.errors import DataUnavailable
from shared.importing.files import PLACES, ROWS_PER_BATCH, Piece, plain_frame
from shared.importing.lake import (
    bucket_options,
    delta_columns,
    delta_record_batches,
    delta_rows,
    in_one_line,
    is_address,
    is_delta,
)

_EVERY_FILE = "/**/*.parquet"


class DeltaSource:
    """A Delta table as it is when it is read."""

    def __init__(self, place: str) -> None:
        self.name = place

    def column_names(self) -> tuple[str, ...]:
        return delta_columns(self.name)

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        """All rows in pieces.

        Raises:
            DataUnavailable: the table cannot be read.
            MappingError: a column holds lists or structures.
        """
        total = max(1, delta_rows(self.name))
        done = 0
        for batch in delta_record_batches(self.name, columns):
            table = pa.Table.from_batches([batch])
            yield _piece(plain_frame(table, columns), done, total)
            done += table.num_rows


class BucketSource:
    """Parquet files below an address, or those that it is a pattern of."""

    def __init__(self, address: str) -> None:
        self.name = address
        is_pattern = "*" in address or address.endswith(".parquet")
        self._files = address if is_pattern else address.rstrip("/") + _EVERY_FILE
        self._options = bucket_options(address)

    def column_names(self) -> tuple[str, ...]:
        with self._reading():
            return tuple(
                pl.scan_parquet(self._files, storage_options=self._options).collect_schema().names()
            )

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        """All rows in pieces.

        Raises:
            DataUnavailable: the bucket does not answer, or a file is not whole.
            MappingError: a column holds lists or structures.
        """
        with self._reading():
            rows = pl.scan_parquet(self._files, storage_options=self._options)
            total = int(rows.select(pl.len()).collect().item())
            for done in range(0, total, ROWS_PER_BATCH):
                part = rows.select(columns).slice(done, ROWS_PER_BATCH).collect()
                yield _piece(plain_frame(part.to_arrow(), columns), done, total)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataUnavailable(f"cannot read {self.name}: {in_one_line(error)}") from error


def lake_source(place: Path | str) -> DeltaSource | BucketSource | None:
    """The source at a place; None: plain files in a folder."""
    if is_delta(str(place)):
        return DeltaSource(str(place))
    return BucketSource(str(place)) if is_address(str(place)) else None


def _piece(frame: pl.DataFrame, done: int, total: int) -> Piece:
    numbers = pl.Series(PLACES[0], range(done + 1, done + frame.height + 1), pl.Int64)
    nowhere = pl.Series(PLACES[1], [None] * frame.height, dtype=pl.Int64)
    return Piece(frame, numbers, nowhere, min(1.0, (done + frame.height) / total))
