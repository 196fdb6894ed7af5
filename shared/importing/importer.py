"""The import itself: piece by piece from files into TransactionHistoryLogs.

All files are looked over before a row of the first is written, for what they leave open must be
asked first. Each piece is one database transaction, and rows that are there already stay as they
are but for labels that arrive or change, so an import is simply started again: because it was
interrupted, or because more is known. Every import has a number, by which it can be undone.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY
from shared.errors import DataUnavailable
from shared.importing.convert import NUMBERS, TEXTS, Converted, convert
from shared.importing.files import Piece, SourceTable, open_table
from shared.importing.lake import Lake
from shared.importing.mapping import TARGETS, Mapping
from shared.importing.mending import MendedRows, Mending
from shared.importing.profile import Readings, look_over
from shared.importing.rejects import RejectsFile
from shared.importing.sources import files_of, sources
from shared.tables.archive import LEAST_DAYS
from shared.tables.data_changes import begin_change, end_change, sender_of
from shared.tables.engine import database_errors, prepare_for_bulk
from shared.tables.schema import transaction_history_logs
from shared.tables.writer import write_history_records


class LakeImport:
    """Divides the rows of an import at the age from which `understudy archive` takes rows.

    Of each user the first and the newest old row go into the database as well, as an archive
    leaves them there: the time since they happened is a feature. Readers count a row once.
    """

    def __init__(self, lake: Lake, now_us: int, *, row_id: str, entity: str) -> None:
        """`row_id` and `entity` are the columns with the id of a row and of its user."""
        self._lake = lake
        self._row_id, self._entity = row_id, entity
        self._before_us = now_us - round(LEAST_DAYS * MICROS_PER_DAY)
        self._edges: pl.DataFrame | None = None
        self.rows = 0

    @property
    def place(self) -> str:
        """The table of the lake that takes the rows."""
        return self._lake.place_of(transaction_history_logs.name)

    def take(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Write old rows into the lake; returns the others.

        Raises:
            DataUnavailable: the lake takes no rows.
        """
        is_old = pl.col("event_time") < self._before_us
        old = rows.filter(is_old)
        if old.height:
            self._lake.append(transaction_history_logs, old)
            known = old if self._edges is None else pl.concat([self._edges, old])
            self._edges = self._ends_of(known)
            self.rows += old.height
        return rows.filter(~is_old)

    def finish(self) -> pl.DataFrame | None:
        """Join the files that were written; returns the rows that the database has to have."""
        if self.rows:
            self._lake.compact(transaction_history_logs.name)
        return self._edges

    def _ends_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        ordered = rows.sort("event_time", "ingested_at", self._row_id)
        ends = [
            ordered.unique(self._entity, keep=end, maintain_order=True) for end in ("first", "last")
        ]
        return pl.concat(ends).unique(self._row_id, maintain_order=True)


Progress = Callable[[float, "ImportSummary"], None]
"""Called with the share of the files that has been read, and the counts so far."""


@dataclass(slots=True)
class ImportSummary:
    """The outcome of the rows; `read` is the sum of the next three.

    Attributes:
        number: the entry in the list of changes, by which it can be undone.
        mended: the outcome of rows that were stored before.
        reasons: why rows were rejected.
        losses: values that could not be used although their rows were.
        notes: the decisions made about the files, for a person to check.
    """

    read: int = 0
    inserted: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()
    number: int = 0
    mended: MendedRows = field(default_factory=MendedRows)

    @property
    def has_changed(self) -> bool:
        """True if there is anything to undo."""
        mended = self.mended
        counts = (self.inserted, mended.labels_new, mended.labels_changed, mended.updated)
        return any(counts)

    def details(self) -> dict[str, Any]:
        """Its counts, for the list of changes."""
        mended = {name: count for name, count in asdict(self.mended).items() if name != "examples"}
        return {"rows": self.inserted, "rejected": self.rejected, **mended}


def import_files(
    engine: Engine,
    paths: list[Path],
    mapping: Mapping,
    rejects_path: Path,
    now_us: int,
    *,
    progress: Progress,
    update: bool = False,
    reads: tuple[Path, ...] = (),
    lake: LakeImport | None = None,
) -> ImportSummary:
    """Import files, folders of them, and packed ones; rejected rows go to a CSV file of their own.

    `update`: rows that are there already and differ are set to what the files say.
    `reads`: further files that must not be written, like that of the mapping.
    `lake`: takes the old rows. It does not look for rows that are there already: readers count
        each once.

    Raises:
        MappingError: the mapping does not fit the files; nothing was written.
        PlaceRefused: rejected rows cannot go there; nothing was written.
        DataUnavailable: a file cannot be read to the end, or the database is down; written rows
            stay, and importing again continues from there.
    """
    summary = ImportSummary()
    with opened(paths, mapping) as tables:
        read = (*reads, *files_of(paths))
        with RejectsFile(rejects_path, mapping.sources, summary.reasons, read) as rejects:
            readings = look_over(tables, mapping, NUMBERS, TEXTS)
            summary.notes = readings.notes
            names = [path.name for path in paths]
            with database_errors("begin an import"), engine.begin() as connection:
                summary.number = begin_change(connection, "import", now_us, None, {"files": names})
            mending = Mending(summary.number, mapping, update)
            work = _Import(engine, mapping, readings, rejects, now_us, summary, mending, lake)
            work.add_tables(tables, progress)
            work.finish()
            with database_errors("end an import"), engine.begin() as connection:
                details = {"files": names, **summary.details()}
                end_change(connection, summary.number, details)
    return summary


def preview(
    paths: list[Path], mapping: Mapping, now_us: int, rows: int = 10
) -> tuple[Converted, tuple[str, ...]]:
    """The first rows as they would be stored, or why they would not, and notes; writes nothing.

    Raises:
        MappingError: the mapping does not fit the files.
        DataUnavailable: a file cannot be read.
    """
    with opened(paths, mapping) as tables:
        readings = look_over(tables, mapping, NUMBERS, TEXTS)
        for table in tables:
            for piece in table.pieces(mapping.sources):
                first = piece.head(rows)
                return convert(first, mapping, readings, now_us), readings.notes
    raise DataUnavailable("the files hold no rows")


@contextmanager
def opened(paths: list[Path], mapping: Mapping) -> Iterator[list[SourceTable]]:
    """Every table below the paths, checked against the mapping, for as long as they are read."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="understudy-import-")))
        tables = []
        try:
            for number, source in enumerate(sources(paths)):
                place = folder / str(number)
                place.mkdir()
                path = stack.enter_context(source.opened(place))
                table = stack.enter_context(open_table(path, source.name, mapping.csv, place))
                mapping.check_against(table.column_names(), table.name)
                tables.append(table)
        except OSError as error:
            cause = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
            raise DataUnavailable(f"cannot read {cause}") from error
        yield tables


@dataclass(frozen=True, slots=True)
class _Import:
    """An import under way."""

    engine: Engine
    mapping: Mapping
    readings: Readings
    rejects: RejectsFile
    now_us: int
    summary: ImportSummary
    mending: Mending
    lake: LakeImport | None = None

    def add_tables(self, tables: list[SourceTable], progress: Progress) -> None:
        """Import the rows of these tables, in their order."""
        for number, table in enumerate(tables):
            self.refuse_lines(table)
            for piece in table.pieces(self.mapping.sources):
                self.add(piece)
                progress((number + piece.share) / len(tables), self.summary)

    def refuse_lines(self, table: SourceTable) -> None:
        """Lines that are not rows come back like rows that do not fit."""
        for row, line, text, wrong in table.refused:
            self.rejects.add_line(row, line, text, wrong)
            self.summary.read += 1
            self.summary.rejected += 1

    def add(self, piece: Piece) -> None:
        summary = self.summary
        converted = convert(piece, self.mapping, self.readings, self.now_us)
        # rejects first: if the import is repeated, stored rows count as present already
        self.rejects.add_rows(converted.rejected)
        inserted = self._write(converted.accepted)
        summary.read += piece.frame.height
        summary.inserted += inserted
        summary.duplicates += converted.accepted.height - inserted
        summary.rejected += converted.rejected.height
        summary.losses += converted.losses

    def _write(self, rows: pl.DataFrame) -> int:
        if rows.is_empty():
            return 0
        sent = rows.with_columns(
            pl.coalesce("sent_by", pl.lit(sender_of(self.summary.number))).alias("sent_by")
        )
        old = 0
        if self.lake is not None:
            sent = self.lake.take(sent)
            old = rows.height - sent.height
        return old + self._insert(sent, rows)

    def finish(self) -> None:
        """The database gets what it needs of rows that went into the lake."""
        edges = None if self.lake is None else self.lake.finish()
        if edges is not None:
            self._insert(edges, edges)

    def _insert(self, sent: pl.DataFrame, rows: pl.DataFrame) -> int:
        with database_errors("import transactions"), self.engine.begin() as connection:
            prepare_for_bulk(connection)
            inserted = write_history_records(connection, TARGETS, sent.rows())
            if inserted < sent.height:
                self.mending.mend(connection, rows, self.summary.mended)
            return inserted
