"""The import of a declared use case: piece by piece from its source into its table.

Each piece is one transaction, and rows that are there already stay as they are but for labels
that arrive or change: an import is simply started again, because it was interrupted or because
more is known.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import Engine

from shared.clock import isoformat
from shared.importing.files import Piece, SourceTable
from shared.rows.convert import REASON, RowConverter, needed_sources
from shared.rows.declaration import Declaration
from shared.rows.schema import Kind
from shared.rows.sources import RowSource
from shared.rows.store import (
    RowLabel,
    StoredLabels,
    first_differences,
    insert_rows,
    store_labels,
)
from shared.rows.tables import RowTables
from shared.tables.engine import database_errors, prepare_for_bulk

Progress = Callable[[float, "ImportCounts"], None]
KeepRejected = Callable[[pl.DataFrame], None]
LABEL_SOURCE = "import"


@dataclass(slots=True)
class ImportCounts:
    """The outcome of the rows; `read` is the sum of the next three.

    Attributes:
        repeated: rows that were stored before; the first ingestion counts.
        differing: of them, those with other values than are stored.
        difference: the first of these, as a sentence.
        reasons: why rows were rejected, without the values, and how many.
        examples: reason -> a sentence with the position of the first such row.
    """

    read: int = 0
    inserted: int = 0
    repeated: int = 0
    differing: int = 0
    difference: str = ""
    rejected: int = 0
    labels: StoredLabels = field(default_factory=StoredLabels)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


def import_rows(
    engine: Engine,
    tables: RowTables,
    declared: Declaration,
    sources: Sequence[RowSource],
    now_us: int,
    *,
    sent_by: str | None = None,
    progress: Progress = lambda _share, _counts: None,
    keep_rejected: KeepRejected = lambda _rows: None,
) -> ImportCounts:
    """Import every source.

    Raises:
        DeclarationError: a declared column is not in a source; nothing was written.
        DataUnavailable: a source or the database fails; what was written stays.
    """
    work = _RowImport(engine, tables, RowConverter(declared, now_us), sent_by)
    wanted = [needed_sources(declared, one.column_names(), one.name) for one in sources]
    for at, (source, columns) in enumerate(zip(sources, wanted, strict=True)):
        keep_rejected(count_refused_lines(work.counts, source, columns))
        for piece in source.pieces(columns):
            keep_rejected(work.add(piece))
            progress((at + piece.share) / len(sources), work.counts)
    return work.counts


def count_reasons(counts: ImportCounts, rejected: pl.DataFrame) -> None:
    """Count why rows were rejected, and keep one example of each reason."""
    for row, line, reasons in rejected.select("row", "line", REASON).iter_rows():
        for reason in reasons.split("; "):
            kind = reason_kind(reason)
            counts.reasons[kind] += 1
            place = f"row {row:,}" if line is None else f"row {row:,}, line {line:,}"
            counts.examples.setdefault(kind, f"{reason} ({place})")
    counts.rejected += rejected.height


def count_refused_lines(
    counts: ImportCounts, source: RowSource, columns: Sequence[str]
) -> pl.DataFrame:
    """Count the lines of a CSV file that are not rows; each with its text in the first column."""
    lines = list(source.refused) if isinstance(source, SourceTable) else []
    rows, places, texts, reasons = zip(*lines, strict=True) if lines else ((), (), (), ())
    refused = pl.DataFrame(
        {"row": rows, "line": places, REASON: reasons, f"\0{columns[0]}": texts},
        schema={"row": pl.Int64, "line": pl.Int64, REASON: pl.String, f"\0{columns[0]}": pl.String},
    )
    counts.read += refused.height
    count_reasons(counts, refused)
    return refused


def reason_kind(reason: str) -> str:
    """A reason without the value in it: what is counted together."""
    before, quote, rest = reason.partition("'")
    if not quote:
        return reason
    _value, _quote, after = rest.partition("'")
    return f"{before}…{after}"


@dataclass(frozen=True, slots=True)
class _RowImport:
    """An import under way."""

    engine: Engine
    tables: RowTables
    converter: RowConverter
    sent_by: str | None
    counts: ImportCounts = field(default_factory=ImportCounts)

    def add(self, piece: Piece) -> pl.DataFrame:
        """Store the rows of a piece that fit; the others."""
        converted, counts = self.converter.convert(piece), self.counts
        counts.read += piece.frame.height
        count_reasons(counts, converted.rejected)
        records = list(_records(self.tables, converted.accepted, self.sent_by))
        with database_errors("import rows"), self.engine.begin() as connection:
            prepare_for_bulk(connection)
            stored = insert_rows(connection, self.tables, records)
            others = [record for record in records if record["row_id"] not in stored]
            labels = store_labels(connection, self.tables, _labels(others))
            for difference in first_differences(connection, self.tables, others):
                counts.differing += 1
                counts.difference = counts.difference or _told(*difference)
        counts.inserted += len(stored)
        counts.repeated += len(records) - len(stored)
        counts.labels.new += labels.new
        counts.labels.changed += labels.changed
        counts.labels.repeated += labels.repeated
        return converted.rejected


def _told(row_id: str, column: str, value: Any, stored: Any) -> str:
    if column == "event_time":
        value, stored = isoformat(value), isoformat(stored)
    return f"{row_id}: {column} is {value!r}, stored is {stored!r}"


def _records(
    tables: RowTables, accepted: pl.DataFrame, sent_by: str | None
) -> Iterator[dict[str, Any]]:
    flags = [column.name for column in tables.schema.columns if column.kind is Kind.FLAG]
    has_label = pl.col("label").is_not_null()
    stored = accepted.with_columns(
        *(pl.col(name).cast(pl.Int64) for name in flags),
        pl.when(has_label).then(pl.lit(LABEL_SOURCE)).alias("label_source"),
        pl.lit(sent_by, dtype=pl.String).alias("sent_by"),
        pl.when(has_label).then(pl.lit(sent_by, dtype=pl.String)).alias("label_sent_by"),
    )
    return stored.iter_rows(named=True)


def _labels(records: Sequence[dict[str, Any]]) -> Iterator[RowLabel]:
    for record in records:
        if record["label"] is not None:
            yield RowLabel(
                record["row_id"],
                record["label"],
                record["label_known_at"],
                LABEL_SOURCE,
                record["label_sent_by"],
            )
