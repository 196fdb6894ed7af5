"""The import itself: piece by piece from a file into TransactionHistoryLogs.

Each piece is one database transaction, and rows that are there already are skipped, so an
import that was interrupted is simply started again.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from shared.importing.convert import convert
from shared.importing.files import Piece, column_names, pieces
from shared.importing.mapping import TARGETS, Mapping
from shared.importing.rejects import RejectsFile
from shared.tables.engine import database_errors, prepare_for_bulk
from shared.tables.writer import write_history_records

Progress = Callable[[float, "ImportSummary"], None]
"""Called with the share of the file that has been read, and the counts so far."""


@dataclass(slots=True)
class ImportSummary:
    """What became of the rows; `read` is the sum of the next three."""

    read: int = 0
    inserted: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def import_file(
    engine: Engine,
    path: Path,
    mapping: Mapping,
    rejects_path: Path,
    now_us: int,
    *,
    progress: Progress,
) -> ImportSummary:
    """Import a Parquet or CSV file; rejected rows go to a CSV file of their own.

    Raises:
        MappingError: the mapping does not fit the file; nothing was written.
        DataUnavailable: the file cannot be read to its end, or the database is down; what
            was written stays, and importing again goes on from there.
    """
    mapping.check_against(column_names(path, mapping.csv), path)
    summary = ImportSummary()
    with RejectsFile(rejects_path, mapping.sources, summary.reasons) as rejects:
        work = _Import(engine, mapping, rejects, now_us, summary)
        for piece in pieces(path, mapping, rejects.add_line):
            work.add(piece)
            progress(piece.share, summary)
        summary.read += rejects.lines
        summary.rejected += rejects.lines
    return summary


@dataclass(frozen=True, slots=True)
class _Import:
    """An import under way."""

    engine: Engine
    mapping: Mapping
    rejects: RejectsFile
    now_us: int
    summary: ImportSummary

    def add(self, piece: Piece) -> None:
        summary = self.summary
        converted = convert(piece.frame, self.mapping, self.now_us, summary.read + 1)
        inserted = self._write(converted.accepted)
        self.rejects.add_rows(converted.rejected)
        summary.read += piece.frame.height
        summary.inserted += inserted
        summary.duplicates += converted.accepted.height - inserted
        summary.rejected += converted.rejected.height

    def _write(self, rows: pl.DataFrame) -> int:
        if rows.is_empty():
            return 0
        with database_errors("import transactions"), self.engine.begin() as connection:
            prepare_for_bulk(connection)
            return write_history_records(connection, TARGETS, rows.rows())
