"""Files of a use case whose features need history: read whole, then scored a part at a time."""

import hashlib
import importlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Protocol, cast

import polars as pl
from sqlalchemy import Engine

import usecases
from shared.bundle.archive import Bundle
from shared.importing.files import SourceTable
from shared.importing.mapping import CsvRules, Mapping, read_mapping
from shared.rows.sources import opened_files
from shared.usecase.serving import FloatMatrix
from understudy.score_parts import (
    Progress,
    ScoreCounts,
    count_errors,
    part_path,
    read_errors,
    remove_unfinished,
    write_part,
)
from understudy.score_plan import CannotScore, ScoreSubject, ScoringJob

ROWS_A_PART = 25_000
# shares of the progress bar: reading, then features, then scoring
_READ, _FEATURED = 0.3, 0.5


class FileRows(Protocol):
    """Rows of files in their order.

    Attributes:
        places: `table`, the number of the file; `row`; the id; `error`, why it is not scored.
        accepted: the rows without an error.
    """

    @property
    def places(self) -> pl.DataFrame: ...

    @property
    def accepted(self) -> pl.DataFrame: ...


class Answers(Protocol):
    """Scores vectors; safe to be called by several threads."""

    def scores(self, matrix: FloatMatrix) -> FloatMatrix: ...

    def answers(self, scores: FloatMatrix) -> pl.DataFrame: ...


class Records(Protocol):
    """Stores rows, their vectors and scores as decisions; doing so again is harmless."""

    def record(self, rows: pl.DataFrame, matrix: FloatMatrix, scores: FloatMatrix) -> None: ...


class TableScoring(Protocol):
    """The interface of `usecases.NAME.table_scorer`."""

    def own_mapping(self, tables: Sequence[SourceTable]) -> Mapping: ...

    def read_rows(
        self, tables: Sequence[SourceTable], mapping: Mapping, now_us: int
    ) -> FileRows: ...

    def features(self, engine: Engine, rows: pl.DataFrame, as_of_us: int) -> FloatMatrix: ...

    def scorer(self, bundle: Bundle) -> Answers: ...

    def recorder(self, engine: Engine, bundle: Bundle) -> Records: ...


def subject_of(use_case: str, mapping: Path | None) -> ScoreSubject:
    """A use case with its own modules.

    Raises:
        CannotScore: it does not score files, or the mapping cannot be read.
    """
    _module(use_case)
    try:
        said = b"" if mapping is None else mapping.read_bytes()
    except OSError as error:
        raise CannotScore(f"cannot read the mapping {mapping}: {error.strerror}") from error
    return ScoreSubject(hashlib.sha256(said).hexdigest(), usecases.load_serving(use_case))


def make_parts_with_history(
    work: ScoringJob,
    use_case: str,
    engine: Engine,
    files: Sequence[Path],
    *,
    mapping: Path | None,
    progress: Progress,
    rows_a_part: int = ROWS_A_PART,
    is_recorded: bool = False,
) -> tuple[ScoreCounts, int]:
    """Score every part that is not there yet; also the number of lines that are not rows.

    With `is_recorded` the rows and answers of each part are stored as decisions, too.

    History is read as it was when the run first began, so a run that goes on makes the same rows.

    Raises:
        UnderstudyError: a file or the history cannot be read, or a column's meaning is open.
    """
    remove_unfinished(work)
    module = _module(use_case)
    known = None if mapping is None else read_mapping(mapping)
    with opened_files(files, CsvRules() if known is None else known.csv) as opened:
        tables = [table for table in opened if isinstance(table, SourceTable)]
        refused = sum(len(list(table.refused)) for table in tables)
        rows = module.read_rows(tables, known or module.own_mapping(tables), work.plan.now_us)
    progress(_READ)
    parts = list(_parts(work, rows, rows_a_part))
    counts = ScoreCounts(rows=rows.places.height)
    if all(path.exists() for path, _, _ in parts):
        matrix: FloatMatrix | None = None
    else:
        matrix = module.features(engine, rows.accepted, work.plan.now_us)
    progress(_FEATURED)
    scorer = module.scorer(work.bundle)
    recorder = module.recorder(engine, work.bundle) if is_recorded else None
    recording = Lock()

    def make(part: tuple[Path, pl.DataFrame, slice]) -> tuple[pl.Series, int]:
        path, places, where = part
        if path.exists() or matrix is None:
            return read_errors(path), places.height
        scores = scorer.scores(matrix[where])
        if recorder is not None:
            # before the part is written: a run killed in between records it again (idempotent)
            with recording:
                recorder.record(rows.accepted[where], matrix[where], scores)
        made = _answered(work, places, scorer.answers(scores))
        write_part(path, made)
        return made["error"], 0

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, (errors, kept) in enumerate(pool.map(make, parts), 1):
            counts.kept += kept
            count_errors(errors, counts)
            progress(_FEATURED + (1 - _FEATURED) * done / len(parts))
    return counts, refused


def _parts(
    work: ScoringJob, rows: FileRows, most: int
) -> Iterator[tuple[Path, pl.DataFrame, slice]]:
    """Each part's place, its rows, and which of the accepted rows are theirs."""
    done = 0
    for number, places in enumerate(rows.places.iter_slices(most)):
        count = places["error"].null_count()
        yield part_path(work, 0, number), places, slice(done, done + count)
        done += count


def _answered(work: ScoringJob, places: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Every row of a part, in order, with its answer or the error."""
    manifest = work.bundle.manifest
    first = answers.columns[0]
    at = pl.Series("at", range(places.height), dtype=pl.Int64)
    is_scored = places["error"].is_null()
    scored = answers.with_columns(at.filter(is_scored).alias("at"))
    made = places.with_columns(at).join(scored, on="at", how="left", maintain_order="left")
    unusable = pl.col("error").is_null() & pl.col(first).is_null()
    error = pl.when(unusable).then(pl.lit("the model gave no usable score")).otherwise("error")
    about = [name for name in places.columns if name not in ("table", "error")]
    limits = [
        pl.lit(limit, dtype=pl.Float64).alias(f"threshold_{name}")
        for name, limit in manifest.thresholds.items()
    ]
    return made.select(
        *about, *answers.columns, error.alias("error"), pl.lit(manifest.version).alias("version"),
        *limits,
    )  # fmt: skip


def _module(use_case: str) -> TableScoring:
    name = f"usecases.{use_case}.table_scorer"
    try:
        return cast(TableScoring, importlib.import_module(name))
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        raise CannotScore(
            f"use case {use_case!r} scores no files: there is no module {name}; send rows to "
            "POST /predict/batch"
        ) from error
