"""Reads Parquet and CSV piece by piece, so that a file may be larger than memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from shared.errors import DataUnavailable
from shared.importing.mapping import CsvRules, Mapping, MappingError

ROWS_PER_BATCH = 100_000
CSV_BLOCK_BYTES = 8 * 1024 * 1024
# What a CSV file writes when it has nothing to say.
CSV_NULLS = ["", "NULL", "null", "NA", "N/A", "None", "\\N"]

BadLine = Callable[[int, str, str], None]
"""Called with the line's number (0 if unknown), its text and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file: the mapped columns, and the share of the file read so far."""

    frame: pl.DataFrame
    share: float


def column_names(path: Path, csv: CsvRules) -> tuple[str, ...]:
    """The columns a file has.

    Raises:
        DataUnavailable: the file cannot be read.
        MappingError: it is neither Parquet nor CSV.
    """
    with _reading(path):
        if _is_parquet(path):
            return tuple(pa_parquet.ParquetFile(path).schema_arrow.names)
        with _opened(path) as file, _csv_reader(file, csv, (), _ignore) as reader:
            return tuple(reader.schema.names)


def pieces(path: Path, mapping: Mapping, bad_line: BadLine) -> Iterator[Piece]:
    """The mapped columns of a file, in order.

    Raises:
        DataUnavailable: the file cannot be read to its end.
    """
    with _reading(path):
        if _is_parquet(path):
            yield from _parquet_pieces(path, mapping.sources)
        else:
            yield from _csv_pieces(path, mapping, bad_line)


def _parquet_pieces(path: Path, columns: tuple[str, ...]) -> Iterator[Piece]:
    file = pa_parquet.ParquetFile(path)
    total, done = max(1, file.metadata.num_rows), 0
    for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=list(columns)):
        done += batch.num_rows
        yield Piece(_frame(pa.Table.from_batches([batch]), columns), done / total)


def _csv_pieces(path: Path, mapping: Mapping, bad_line: BadLine) -> Iterator[Piece]:
    total = max(1, path.stat().st_size)
    with (
        _opened(path) as file,
        _csv_reader(file, mapping.csv, mapping.sources, bad_line) as reader,
    ):
        for batch in reader:
            if batch.num_rows:
                frame = _frame(pa.Table.from_batches([batch]), mapping.sources)
                yield Piece(frame, min(1.0, file.tell() / total))


def _opened(path: Path) -> Any:
    """Read by Arrow alone: it reads ahead, and inside a Python file that could abort our end."""
    return pa.OSFile(str(path))


def _csv_reader(file: Any, csv: CsvRules, columns: tuple[str, ...], bad_line: BadLine) -> Any:
    def skip(row: Any) -> str:
        wrong = f"has {row.actual_columns} fields instead of {row.expected_columns}"
        bad_line(row.number or 0, row.text, wrong)
        return "skip"

    return pa_csv.open_csv(
        file,
        # one thread: the lines keep their order and bad ones their number
        read_options=pa_csv.ReadOptions(
            use_threads=False, block_size=CSV_BLOCK_BYTES, encoding=csv.encoding
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=csv.delimiter, invalid_row_handler=skip, newlines_in_values=True
        ),
        # Everything as text: a type guessed from the first block fails in a later one.
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            strings_can_be_null=True,
            null_values=CSV_NULLS,
        ),
    )


def _frame(table: Any, columns: tuple[str, ...]) -> pl.DataFrame:
    frame = pl.from_arrow(table.select(list(columns)))
    if not isinstance(frame, pl.DataFrame):
        raise MappingError("a table was expected")
    return frame


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _ignore(_number: int, _text: str, _wrong: str) -> None:
    return None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataUnavailable(f"cannot read {path}: {error.strerror or error}") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataUnavailable(f"{path} is neither whole Parquet nor CSV: {error}") from error
