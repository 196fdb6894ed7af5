"""Parts of a scored file: made in processes of their own, then put together.

A part has its name only once it is whole and on disk. Whatever a killed run left is kept, and
what it had not finished is made again: every row is there once.
"""

import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pa_parquet

from shared.bundle.archive import unpack
from shared.importing.files import Piece
from shared.rows.convert import input_sources
from shared.rows.importer import reason_kind
from shared.rows.row_store import DeclaredRowStore
from shared.rows.sources import RowSource
from shared.system.child_processes import end_with_parent
from shared.system.files import TEMPORARY_PREFIX, move, sync_path, write_whole
from shared.tables.engine import connect
from understudy.score_plan import BUNDLE, CannotScore, ScoringJob
from usecases.declared.scoring_files import DecisionRecorder, PieceScorer

Progress = Callable[[float], None]
# Pieces in flight for each process, so that no process is idle.
_IN_FLIGHT = 3
_ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "ARROW_NUM_THREADS")


@dataclass(slots=True)
class ScoreCounts:
    """The counts of scored and failed rows.

    Attributes:
        kept: rows of parts that an earlier start had made.
        errors: why rows have no answer, without the values, and how many.
        examples: reason -> one whole sentence.
    """

    rows: int = 0
    kept: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


def make_parts(
    work: ScoringJob,
    use_case: Path,
    tables: Sequence[RowSource],
    processes: int,
    progress: Progress = lambda _share: None,
    *,
    record_url: str | None = None,
) -> ScoreCounts:
    """Score every piece that has no part yet, and record it in the database with this URL.

    Raises:
        UnderstudyError: a source cannot be read; a process ended.
    """
    remove_unfinished(work)
    counts = ScoreCounts()
    declared = PieceScorer.of(use_case, work.bundle, work.plan.now_us).use_case.declared
    wanted = [input_sources(declared, one.column_names(), one.name) for one in tables]
    pool = _pool(work, use_case, processes, record_url)
    waiting: set[Future[pl.DataFrame]] = set()
    try:
        for path, piece, share in _missing(work, tables, wanted, counts, progress):
            waiting.add(pool.submit(_score, str(path), piece))
            waiting = _counted(waiting, counts, _IN_FLIGHT * processes)
            progress(share)
        _counted(waiting, counts, 1)
    except BrokenProcessPool as error:
        raise CannotScore(
            "a process that scored was ended, perhaps for lack of memory; what is done is kept: "
            "start the same command again, with fewer --processes"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
    progress(1.0)
    return counts


class _Here(Executor):
    """Scores in this process, at once."""

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **named))
        return done


def _pool(work: ScoringJob, use_case: Path, processes: int, record_url: str | None) -> Executor:
    arguments = (str(use_case), str(work.folder), work.plan.now_us, record_url)
    if processes == 1:
        _open(*arguments)
        return _Here()
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    return ProcessPoolExecutor(
        processes,
        get_context("spawn"),  # not fork: polars has threads, which a fork would lose
        initializer=_begin,
        initargs=(os.getpid(), *arguments),
    )


def _missing(
    work: ScoringJob,
    tables: Sequence[RowSource],
    wanted: Sequence[tuple[str, ...]],
    counts: ScoreCounts,
    progress: Progress,
) -> Iterator[tuple[Path, Piece, float]]:
    """Pieces without a part, and where it belongs; a file is cut alike each time it is read."""
    for at, (table, columns) in enumerate(zip(tables, wanted, strict=True)):
        for number, piece in enumerate(table.pieces(columns)):
            path = part_path(work, at, number)
            share = (at + piece.share) / len(tables)
            counts.rows += piece.frame.height
            if not path.exists():
                yield path, piece, share
                continue
            counts.kept += piece.frame.height
            count_errors(read_errors(path), counts)
            progress(share)


def _counted(
    waiting: set[Future[pl.DataFrame]], counts: ScoreCounts, limit: int
) -> set[Future[pl.DataFrame]]:
    """Wait until fewer than `limit` are left."""
    while len(waiting) >= limit:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for one in done:
            count_errors(one.result()["error"], counts)
    return waiting


def part_path(work: ScoringJob, table: int, number: int) -> Path:
    """The place of a part; parts are put together in the order of their names."""
    return work.folder / f"part-{table:05}-{number:07}.parquet"


def write_part(path: Path, made: pl.DataFrame) -> None:
    """A part, whole or not at all."""
    buffer = BytesIO()
    made.write_parquet(buffer, compression="lz4", statistics=False)
    write_whole(path, buffer.getvalue())


def read_errors(path: Path) -> pl.Series:
    """The errors of the rows of a part; the folder may have any name."""
    return pl.read_parquet(path, columns=["error"], glob=False)["error"]


def remove_unfinished(work: ScoringJob) -> None:
    """Whatever a killed run was writing."""
    for left in work.folder.glob(f"{TEMPORARY_PREFIX}*"):
        left.unlink()


def count_errors(errors: pl.Series, counts: ScoreCounts) -> None:
    for text, times in errors.drop_nulls().value_counts().iter_rows():
        kind = reason_kind(text)
        counts.errors[kind] += times
        counts.examples.setdefault(kind, text)


_scorer: PieceScorer
_recorder: DecisionRecorder | None = None
"""The recorder of a process that scores; set when it starts."""


def _begin(
    parent_pid: int, use_case: str, folder: str, now_us: int, record_url: str | None
) -> None:
    end_with_parent(parent_pid)
    _open(use_case, folder, now_us, record_url)


def _open(use_case: str, folder: str, now_us: int, record_url: str | None) -> None:
    global _scorer, _recorder  # noqa: PLW0603 - a process of a pool has no other place
    bundle = unpack((Path(folder) / BUNDLE).read_bytes())
    _scorer = PieceScorer.of(Path(use_case), bundle, now_us)
    _recorder = None
    if record_url is not None:
        store = DeclaredRowStore(_scorer.use_case.row_schema)
        _recorder = DecisionRecorder(connect(record_url), store, _scorer, now_us)


def _score(path: str, piece: Piece) -> pl.DataFrame:
    """Make one part; its errors."""
    scored = _scorer.scored(piece)
    made = scored.made
    if _recorder is not None:
        # before the part is written: a run killed in between records it again, which is idempotent
        _recorder.record(piece, scored)
    write_part(Path(path), made)
    return made.select("error").drop_nulls()


def put_together(work: ScoringJob, out: Path) -> None:
    """All parts in their order as one file, whole or not at all."""
    parts = sorted(work.folder.glob("part-*.parquet"))
    temporary = out.with_name(f"{TEMPORARY_PREFIX}{out.name}-{secrets.token_hex(4)}")
    try:
        (_as_csv if out.suffix == ".csv" else _as_parquet)(parts, temporary, work)
        sync_path(temporary)
        move(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


def _as_csv(parts: Sequence[Path], path: Path, _work: ScoringJob) -> None:
    with path.open("xb") as file:
        for at, part in enumerate(parts):
            pl.read_parquet(part, glob=False).write_csv(file, include_header=at == 0)


def _as_parquet(parts: Sequence[Path], path: Path, work: ScoringJob) -> None:
    manifest = work.bundle.manifest
    summary_fields: dict[str, Any] = {
        "use_case": manifest.use_case,
        "version": manifest.version,
        "sha256": work.plan.sha256,
        "thresholds": manifest.thresholds,
    }
    writer = None
    try:
        for part in parts:
            table = pa_parquet.read_table(part)
            if writer is None:
                schema = table.schema.with_metadata({"understudy": json.dumps(summary_fields)})
                writer = pa_parquet.ParquetWriter(path, schema)
            writer.write_table(table.cast(schema))
    finally:
        if writer is not None:
            writer.close()
