"""Sources of declared rows: files, folders, Delta tables, buckets, or a query on a database."""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from shared.clock import to_datetime
from shared.errors import DataUnavailable, SettingsError
from shared.importing.files import PLACES, ROWS_PER_BATCH, Piece, open_table, plain_frame
from shared.importing.lake import (
    bucket_options,
    delta_columns,
    delta_record_batches,
    delta_rows,
    in_one_line,
    is_address,
    is_delta,
)
from shared.importing.mapping import CsvRules
from shared.importing.sources import sources
from shared.tables.url import parse_database_url

_ROWS_PER_FETCH = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RowSource(Protocol):
    """One table of rows, whatever it lies in."""

    @property
    def name(self) -> str: ...

    def column_names(self) -> tuple[str, ...]: ...

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]: ...


@contextmanager
def opened_files(paths: Sequence[Path | str], csv: CsvRules) -> Iterator[list[RowSource]]:
    """Every table below the paths, for as long as it is read; a path may be a bucket's address.

    Raises:
        DataUnavailable: a path cannot be read.
        MappingError: a folder holds no table, or a file has another encoding.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="understudy-rows-")))
        try:
            files, tables = _local_and_lake(paths)
            for number, source in enumerate(sources(files)):
                place = folder / str(number)
                place.mkdir()
                path = stack.enter_context(source.opened(place))
                tables.append(stack.enter_context(open_table(path, source.name, csv, place)))
        except OSError as error:
            raise DataUnavailable(cannot_read(error)) from error
        yield tables


def cannot_read(error: OSError) -> str:
    """The fault of a file that could not be opened; ours name it already."""
    return f"cannot read {error.filename}: {error.strerror}" if error.strerror else str(error)


def _local_and_lake(paths: Sequence[Path | str]) -> tuple[list[Path], list[RowSource]]:
    """Paths of this machine, and the tables of the lake among the paths."""
    files: list[Path] = []
    tables: list[RowSource] = []
    for path in paths:
        table = lake_source(path)
        if table is None:
            files.append(Path(path))
        else:
            tables.append(table)
    return files, tables


class QuerySource:
    """A query; `:since` in it is the instant of the previous import, 1970 at first."""

    name = "the query"

    def __init__(self, url: str, sql: str, since_us: int | None) -> None:
        try:
            parsed = parse_database_url(url)
        except SettingsError as error:
            # the message begins with the name of another setting
            said = str(error).removeprefix("DATABASE_URL: ")
            raise SettingsError(f"the database of source.sql: {said}") from error
        self._engine = _read_only(parsed)
        since = _EPOCH if since_us is None else to_datetime(since_us)
        is_text = parsed.get_backend_name() == "sqlite"
        self._parameters = {"since": since.isoformat(sep=" ")[:26] if is_text else since}
        self._statement = text(sql)
        self._names: tuple[str, ...] | None = None

    def column_names(self) -> tuple[str, ...]:
        if self._names is None:
            with self._reading() as result:
                self._names = tuple(result.keys())
        return self._names

    def pieces(self, columns: tuple[str, ...]) -> Iterator[Piece]:
        """All rows in pieces.

        Raises:
            DataUnavailable: the database does not answer the query.
        """
        done = 0
        with self._reading() as result:
            names = tuple(result.keys())
            for part in result.partitions(_ROWS_PER_FETCH):
                rows = [tuple(row) for row in part]
                frame = _frame(names, rows).select(columns)
                places = pl.Series(PLACES[0], range(done + 1, done + len(rows) + 1), pl.Int64)
                done += len(rows)
                nowhere = pl.Series(PLACES[1], [None] * len(rows), dtype=pl.Int64)
                yield Piece(frame, places, nowhere, 0.5)

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        names = self._statement.compile().params
        bound = {name: value for name, value in self._parameters.items() if name in names}
        try:
            with self._engine.connect() as connection:
                streamed = connection.execution_options(stream_results=True)
                yield streamed.execute(self._statement, bound)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise DataUnavailable(f"source.sql failed: {str(cause).strip()}") from error
        finally:
            self._engine.dispose()


def _read_only(url: URL) -> Engine:
    """An engine that reads; a SQLite file is opened so that it is never made or changed.

    Raises:
        DataUnavailable: the file is not there.
    """
    place = url.database or ""
    if url.get_backend_name() != "sqlite" or place.startswith((":memory:", "file:")):
        return create_engine(url)
    path = Path(place).absolute()
    if not path.is_file():
        raise DataUnavailable(
            f"the database of source.sql, {path}, does not exist: correct its URL"
        )
    return create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    )


def _frame(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    columns = {}
    for at, name in enumerate(names):
        values = [row[at] for row in rows]
        kinds = {type(value) for value in values if value is not None}
        # a column of mixed types, or of a type unknown to polars, is read as text
        if kinds <= {int, float} or kinds <= {bool} or kinds <= {str} or kinds <= {datetime}:
            columns[name] = pl.Series(name, values, strict=False)
        else:
            texts = [None if value is None else str(value) for value in values]
            columns[name] = pl.Series(name, texts, dtype=pl.String)
        if columns[name].dtype == pl.Null:
            columns[name] = columns[name].cast(pl.String)
    return pl.DataFrame(columns)


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
