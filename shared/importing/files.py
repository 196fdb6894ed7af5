"""Reads Parquet and CSV piece by piece, so that a file may be larger than memory."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from shared.errors import DataUnavailable
from shared.importing.csv_files import CsvText, csv_text
from shared.importing.mapping import CsvRules, MappingError

# Arrow columns as plain polars columns: without wrapper types, bytes decoded as text.

_UUID_BYTES = 16


def plain_frame(table: Any, columns: tuple[str, ...]) -> pl.DataFrame:
    """The named columns of a table, each of a type that polars and the readers know.

    Raises:
        MappingError: a column holds lists, structures or bytes that are not text.
    """
    return pl.DataFrame({name: _series(name, table.column(name)) for name in columns})


def _series(name: str, column: Any) -> pl.Series:
    plain = _unwrapped(name, column)
    if pa.types.is_null(plain.type):
        return pl.Series(name, [None] * len(plain), dtype=pl.String)
    series = pl.from_arrow(plain)
    if not isinstance(series, pl.Series):
        raise MappingError(f"column {name!r} holds {column.type}, which is not a text or number")
    return series.alias(name)


def _unwrapped(name: str, column: Any) -> Any:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return _unwrapped(name, storage)
    if pa.types.is_dictionary(kind):
        return _unwrapped(name, column.cast(kind.value_type))
    if pa.types.is_nested(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        raise MappingError(
            f"column {name!r} holds {kind}, which is not a text, number or instant: leave it out, "
            "or write it as one of these, e.g. a duration as a number of seconds"
        )
    if pa.types.is_decimal(kind) and kind.scale == 0:
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # instants outside the years 1677 to 2262 have overflowed already
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return _decoded(name, column) if _is_bytes(kind) else column


def _is_bytes(kind: Any) -> bool:
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _decoded(name: str, column: Any) -> Any:
    if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == _UUID_BYTES:
        return _uuids(column)
    try:
        return column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid as error:
        raise MappingError(
            f"column {name!r} holds bytes that are not text in UTF-8; write it as text"
        ) from error


def _uuids(column: Any) -> Any:
    values = [None if raw is None else str(uuid.UUID(bytes=raw)) for raw in column.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string())])


ROWS_PER_BATCH = 100_000
CSV_BLOCK_BYTES = 8 * 1024 * 1024
PLACES = ("row", "line")
"""Columns that say where a row stands in its file; not ours and hopefully not theirs."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a table.

    Attributes:
        frame: the columns asked for.
        rows: their numbers in the file, 1 is the first behind a header.
        lines: their lines in the file; empty where it has none.
        share: how much of the file has been read.
    """

    frame: pl.DataFrame
    rows: pl.Series
    lines: pl.Series
    share: float

    def head(self, rows: int) -> "Piece":
        """The first of its rows."""
        parts = self.rows.head(rows), self.lines.head(rows)
        return Piece(self.frame.head(rows), *parts, self.share)


class SourceTable:
    """One file, open to be read several times."""

    def __init__(self, path: Path, name: str, csv: CsvText | None, rules: CsvRules) -> None:
        self.name = name
        self._path = path
        self._csv = csv
        self._rules = rules

    @property
    def refused(self) -> Iterator[tuple[int, int, str, str]]:
        """Lines that are not rows: their row, line, text and what is wrong with them."""
        for row, text, wrong in () if self._csv is None else self._csv.refused:
            yield row.row, row.line, text, wrong

    def column_names(self) -> tuple[str, ...]:
        """The columns, as often as they are there."""
        with _reading(self.name):
            if self._csv is None:
                return tuple(pa_parquet.ParquetFile(self._path).schema_arrow.names)
            if self._csv.layout.fields == 0:
                return ()
            with _opened(self._csv.path) as file, self._csv_reader(file, ()) as reader:
                return tuple(name.strip() for name in reader.schema.names)

    def nested_columns(self) -> dict[str, str]:
        """Columns of lists and structures, of which no value can be read, with the reason."""
        if self._csv is not None:
            return {}
        with _reading(self.name):
            schema = pa_parquet.ParquetFile(self._path).schema_arrow
        return {
            field.name: f"it holds {field.type}: write what counts in it as columns of their own"
            for field in schema
            if pa.types.is_nested(field.type)
        }

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        """The named columns, in order.

        Raises:
            DataUnavailable: the file cannot be read to its end.
        """
        with _reading(self.name):
            yield from (self._parquet_pieces if self._csv is None else self._csv_pieces)(columns)

    def _parquet_pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        # INT96 can hold instants beyond the range of nanoseconds, such as 9999-12-31 for "never"
        file = pa_parquet.ParquetFile(self._path, coerce_int96_timestamp_unit="us")
        total, done = max(1, file.metadata.num_rows), 0
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=list(columns)):
            frame = plain_frame(pa.Table.from_batches([batch]), columns)
            rows = pl.Series(PLACES[0], range(done + 1, done + batch.num_rows + 1), pl.Int64)
            done += batch.num_rows
            nowhere = pl.Series(PLACES[1], [None] * batch.num_rows, dtype=pl.Int64)
            yield Piece(frame, rows, nowhere, done / total)

    def _csv_pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        csv = self._csv
        if csv is None or csv.layout.fields == 0:
            return
        total, done = max(1, csv.path.stat().st_size), 0
        with _opened(csv.path) as file, self._csv_reader(file, columns) as reader:
            for batch in reader:
                if not batch.num_rows:
                    continue
                table = pa.Table.from_batches([batch])
                table = table.rename_columns([name.strip() for name in table.schema.names])
                rows = csv.layout.kept(done, batch.num_rows)
                lines = csv.layout.lines_of(rows)
                done += batch.num_rows
                yield Piece(
                    plain_frame(table, columns),
                    pl.Series(PLACES[0], rows.astype(np.int64)),
                    pl.Series(PLACES[1], lines.astype(np.int64)),
                    min(1.0, file.tell() / total),
                )

    def _csv_reader(self, file: Any, columns: tuple[str, ...]) -> Any:
        names = self._header_names(columns)
        return pa_csv.open_csv(
            file,
            # a single thread keeps the order of rows
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._rules.delimiter, newlines_in_values=True
            ),
            # Everything as text: a type guessed from the first block fails in a later one.
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(names),
                strings_can_be_null=True,
                null_values=["", *self._rules.nulls],
                quoted_strings_can_be_null=False,
            ),
        )

    def _header_names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """The columns as the header writes them, perhaps with blanks around."""
        if not columns or self._csv is None:
            return columns
        with _opened(self._csv.path) as file, self._csv_reader(file, ()) as reader:
            written = {name.strip(): name for name in reader.schema.names}
        return tuple(written[name] for name in columns)


@contextmanager
def open_table(path: Path, name: str, rules: CsvRules, folder: Path) -> Iterator[SourceTable]:
    """Open a Parquet or CSV file; what has to be copied goes into `folder`.

    Raises:
        DataUnavailable: the file cannot be read.
        MappingError: its encoding is another one.
    """
    with ExitStack() as stack:
        with _reading(name):
            csv = None if _is_parquet(path) else stack.enter_context(csv_text(path, rules, folder))
        yield SourceTable(path, name, csv, rules)


def _opened(path: Path) -> Any:
    """Read by Arrow alone: it reads ahead, and inside a Python file that could abort our end."""
    return pa.OSFile(str(path))


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataUnavailable(f"cannot read {name}: {error.strerror or error}") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataUnavailable(f"{name} is neither whole Parquet nor CSV: {error}") from error
