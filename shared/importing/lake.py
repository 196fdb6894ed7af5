"""The lake: Delta tables of rows beyond the database, in a folder or a bucket.

Keys and addresses of a bucket come from the environment, under the names that its tools use
(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION).
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Float, Integer, LargeBinary, Table
from sqlalchemy.types import TypeEngine

from shared.errors import DataUnavailable, SettingsError
from shared.tables.data_changes import RowLogs

ROWS_PER_BATCH = 100_000
_VALUES_PER_DELETE = 1_000
PARTITION = "month"
_TIME = "event_time"
_LOG = "_delta_log"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_PATIENCE = {"connect_timeout": "5s", "timeout": "60s"}
_MANY_TRIES = {"max_retries": "3", "retry_timeout": "30s"}
_COLOURS = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Lake:
    """One Delta table for each table of the database, partitioned by the month of the event."""

    url: str

    @classmethod
    def at(cls, place: str) -> "Lake":
        """A folder, or an address such as s3://bucket/path."""
        text = place.strip().rstrip("/")
        return cls(text if is_address(text) else str(Path(text).absolute()))

    def place_of(self, name: str) -> str:
        return f"{self.url}/{name}"

    def append(self, table: Table, rows: pl.DataFrame) -> None:
        """Add rows of a table; they are there for every reader when this returns.

        Raises:
            DataUnavailable: the lake takes no rows.
        """
        from deltalake import write_deltalake  # noqa: PLC0415 - only a lake needs it

        types = lake_types(table)
        missing = [pl.lit(None).alias(name) for name in types if name not in rows.columns]
        cast = [pl.col(name).cast(kind) for name, kind in types.items()]
        typed = rows.with_columns(missing).select(cast)
        parts = [PARTITION] if _TIME in types else None
        if parts:
            typed = typed.with_columns(_month().alias(PARTITION))
        with _lake_errors(self.place_of(table.name)):
            self._make_folder(table.name)
            write_deltalake(
                self.place_of(table.name), typed.to_arrow(), mode="append",
                partition_by=parts, schema_mode="merge",
                storage_options=_options(self.place_of(table.name)),
            )  # fmt: skip

    def write(self, table: Table, part: str, rows: pl.DataFrame) -> None:
        """Append archived rows, as `ArchivePlace` says."""
        del part
        self.append(table, rows)

    def erase(self, logs: RowLogs, entity: str) -> int:
        """Erase an entity's rows, as `ArchivePlace` says; older versions of the tables go, too."""
        columns = (logs.row_id, logs.entity)
        wanted = pl.col(logs.entity) == entity
        ids = [
            row_id
            for log in logs.logs
            for batch in self.batches(log.name, columns)
            for row_id in batch.filter(wanted)[logs.row_id]
        ]
        # also without ids: a process that died before it removed older versions left their files
        for table in (*logs.beside, *logs.logs):
            self._delete(table.name, logs.row_id, ids)
        return len(ids)

    def _delete(self, name: str, column: str, values: Sequence[str]) -> None:
        if (table := self._open(name)) is None:
            return
        with _lake_errors(self.place_of(name)):
            for begin in range(0, len(values), _VALUES_PER_DELETE):
                some = ", ".join(map(_quoted, values[begin : begin + _VALUES_PER_DELETE]))
                table.delete(f"{column} IN ({some})")
            table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)

    def compact(self, name: str) -> None:
        """Join the small files that appends leave; what readers read stays the same."""
        if (table := self._open(name)) is not None:
            with _lake_errors(self.place_of(name)):
                table.optimize.compact()

    def batches(self, name: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rows of a table in parts; none where there is no such table.

        Raises:
            DataUnavailable: the lake cannot be read.
        """
        if self._open(name) is not None:
            yield from delta_batches(self.place_of(name), columns)

    def _open(self, name: str) -> Any:
        from deltalake import DeltaTable  # noqa: PLC0415 - only a lake needs it

        place = self.place_of(name)
        with _lake_errors(place):
            is_there = DeltaTable.is_deltatable(place, _options(place))
            return _delta_table(place) if is_there else None

    def _make_folder(self, name: str) -> None:
        if not is_address(self.url):
            Path(self.place_of(name)).mkdir(parents=True, exist_ok=True)


def _quoted(value: str) -> str:
    """A text in the SQL of Delta."""
    return "'" + value.replace("'", "''") + "'"


def is_address(text: str) -> bool:
    """True if a place is a bucket's rather than a folder."""
    return "://" in text


def bucket_options(place: str) -> dict[str, str] | None:
    """Options that the libraries for buckets do not read from the environment; None for a folder.

    An address without TLS is allowed where the operator wrote one, and no bucket is waited for
    longer than a run can afford.
    """
    if not is_address(place):
        return None
    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
    plain = {"allow_http": "true"} if endpoint.startswith("http://") else {}
    return {**_PATIENCE, **plain}


def _options(place: str) -> dict[str, str] | None:
    options = bucket_options(place)
    return None if options is None else {**options, **_MANY_TRIES}


def is_delta(place: str) -> bool:
    """True if a Delta table lies there.

    Raises:
        DataUnavailable: the bucket does not answer.
    """
    if not is_address(place):
        return (Path(place) / _LOG).is_dir()
    from deltalake import DeltaTable  # noqa: PLC0415 - only a lake needs it

    with _lake_errors(place):
        return bool(DeltaTable.is_deltatable(place, _options(place)))


def _delta_table(place: str) -> Any:
    from deltalake import DeltaTable  # noqa: PLC0415 - only a lake needs it

    return DeltaTable(place, storage_options=_options(place))


def delta_columns(place: str) -> tuple[str, ...]:
    """The columns of a Delta table, those of its partitions included."""
    with _lake_errors(place):
        return tuple(_delta_table(place).schema().to_arrow().names)


def delta_rows(place: str) -> int:
    """Count of the rows of a Delta table."""
    with _lake_errors(place):
        return int(_delta_table(place).to_pyarrow_dataset().count_rows())


def delta_record_batches(place: str, columns: Sequence[str]) -> Iterator[Any]:
    """The rows of a Delta table as it is now, in parts; columns that it lacks are left out.

    Raises:
        DataUnavailable: it cannot be read.
    """
    with _lake_errors(place):
        table = _delta_table(place)
        known = set(table.schema().to_arrow().names)
        wanted = [name for name in columns if name in known]
        dataset = table.to_pyarrow_dataset()
        for batch in dataset.to_batches(columns=wanted, batch_size=ROWS_PER_BATCH):
            if batch.num_rows:
                yield batch


def delta_batches(place: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The same as polars reads them."""
    for batch in delta_record_batches(place, columns):
        yield pl.DataFrame(batch)


def lake_types(table: Table) -> Mapping[str, pl.DataType]:
    """The types of a table's columns in the lake: what is not a number or bytes is text."""
    return {column.name: _type(column.type) for column in table.columns}


def _type(kind: TypeEngine[Any]) -> pl.DataType:
    if isinstance(kind, Integer):
        return pl.Int64()
    if isinstance(kind, Float):
        return pl.Float64()
    return pl.Binary() if isinstance(kind, LargeBinary) else pl.String()


def _month() -> pl.Expr:
    return pl.from_epoch(_TIME, time_unit="us").dt.strftime("%Y-%m")


@contextmanager
def _lake_errors(place: str) -> Iterator[None]:
    try:
        from deltalake.exceptions import DeltaError  # noqa: PLC0415 - only a lake needs it
    except ModuleNotFoundError as error:
        raise SettingsError(
            "a lake is read in the scheduler's container: `docker compose exec scheduler "
            "understudy ...`; elsewhere install requirements/learning.txt"
        ) from error
    try:
        yield
    except (DeltaError, OSError) as error:
        raise DataUnavailable(f"the lake at {place}: {in_one_line(error)}") from error


def in_one_line(error: Exception) -> str:
    """The message of a library about a bucket, without colours and arrows."""
    lines = [_COLOURS.sub("", line).strip(" ↳") for line in str(error).splitlines()]
    return ": ".join(filter(None, lines))[:600]
