"""`understudy score`: files through the served version; decisions are recorded on request."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

import usecases
from shared.clock import SystemClock
from shared.importing.files import SourceTable
from shared.rows.convert import input_sources
from shared.rows.declaration import FILE_NAME, Declaration, read_declaration
from shared.rows.row_store import DeclaredRowStore
from shared.rows.sources import RowSource, opened_files
from shared.system.files import make_folder
from shared.tables.engine import connect
from understudy.score_parts import Progress, ScoreCounts, make_parts, put_together
from understudy.score_plan import CannotScore, ScoreSubject, ScoringJob, declared_subject, prepared
from understudy.settings import CommandSettings
from understudy.terminal import DataTable, shown

_SUFFIXES = (".csv", ".parquet")
_SHOWN_REASONS = 12
_STEPS = 1_000


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The options of the command.

    Attributes:
        mapping: names of columns, for a use case that is not declared.
        version: None: the one that is served when the run first starts.
        processes: None: one for each processor.
        record: store rows and answers as decisions, too.
    """

    files: tuple[Path, ...]
    out: Path
    mapping: Path | None = None
    version: str | None = None
    processes: int | None = None
    restart: bool = False
    record: bool = False


def score_files(request: ScoreRequest, settings: CommandSettings, console: Console) -> ScoreCounts:
    """Score and print what became of the rows.

    Raises:
        UnderstudyError: nothing can be scored, or another run of the same output is under way.
    """
    out = request.out.absolute()
    if out.suffix not in _SUFFIXES:
        raise CannotScore(f"--out {request.out}: end its name with {' or '.join(_SUFFIXES)}")
    if out.exists() and not request.restart:
        raise CannotScore(f"{request.out} is there already: remove it, or add --restart")
    make_folder(out.parent)
    lock = FileLock(out.with_name(f".{out.name}.lock"), timeout=0)
    try:
        with lock:
            return _score(request, settings, console, out)
    except Timeout as error:
        raise CannotScore(f"another process is scoring into {request.out}: wait for it") from error


def _score(
    request: ScoreRequest, settings: CommandSettings, console: Console, out: Path
) -> ScoreCounts:
    began = time.monotonic()
    use_case = usecases.declared_folder(settings.use_case)
    if use_case is None:
        work, counts, refused = _with_history(request, settings, out)
    else:
        work, counts, refused = _declared(request, settings, out, use_case)
    put_together(work, out)
    shutil.rmtree(work.folder)
    _print(console, request.out, work.plan.version, counts, refused, time.monotonic() - began)
    return counts


_Done = tuple[ScoringJob, ScoreCounts, int]
"""The run, what became of its rows, and how many lines are none."""


def _declared(request: ScoreRequest, settings: CommandSettings, out: Path, use_case: Path) -> _Done:
    if request.mapping is not None:
        raise CannotScore(
            "--mapping: a declared use case names columns in its usecase.toml (from = ...)"
        )
    declared = read_declaration(use_case / FILE_NAME)
    subject = declared_subject(use_case)
    record_url = None
    if request.record:
        record_url = _ready_to_record(settings, declared)
        subject = _recorded(subject)
    with opened_files(request.files, declared.csv) as tables:
        for one in tables:
            # before anything is written: a file that is corrected is another run
            input_sources(declared, one.column_names(), one.name)
        work = _prepared(request, settings, out, subject)
        with _shown(work) as progress:
            processes = request.processes or os.cpu_count() or 1
            counts = make_parts(work, use_case, tables, processes, progress, record_url=record_url)
        return work, counts, _lines_refused(tables)


def _recorded(subject: ScoreSubject) -> ScoreSubject:
    """Parts of a run that recorded nothing are not mixed with those of one that did."""
    return subject._replace(digest=f"{subject.digest}, recorded")


def _ready_to_record(settings: CommandSettings, declared: Declaration) -> str:
    """The URL of the database, whose tables are there."""
    if declared.use_case.row_id is None:
        raise CannotScore(
            '--record: decisions are known by the id of their row: write row_id = "COLUMN" under '
            "[use_case] of usecase.toml"
        )
    url = settings.database_url.get_secret_value()
    engine = connect(url)
    try:
        DeclaredRowStore(declared.row_schema).prepare(engine)
    finally:
        engine.dispose()
    return url


def _with_history(request: ScoreRequest, settings: CommandSettings, out: Path) -> _Done:
    # imported here: loads the kernel, which a declared use case does not need
    from understudy.score_history import make_parts_with_history, subject_of  # noqa: PLC0415

    subject = subject_of(settings.use_case, request.mapping)
    if request.record:
        subject = _recorded(subject)
    work = _prepared(request, settings, out, subject)
    engine = connect(settings.database_url.get_secret_value())
    try:
        with _shown(work) as progress:
            counts, refused = make_parts_with_history(
                work,
                settings.use_case,
                engine,
                request.files,
                mapping=request.mapping,
                progress=progress,
                is_recorded=request.record,
            )
    finally:
        engine.dispose()
    return work, counts, refused


def _prepared(
    request: ScoreRequest, settings: CommandSettings, out: Path, subject: ScoreSubject
) -> ScoringJob:
    return prepared(
        settings,
        subject,
        request.files,
        out.with_name(f"{out.name}.parts"),
        SystemClock().now_us(),
        version=request.version,
        restart=request.restart,
    )


@contextmanager
def _shown(work: ScoringJob) -> Iterator[Progress]:
    with shown(f"scoring with {work.plan.version}", in_percent=True) as advance:
        yield lambda share: advance(round(share * _STEPS), _STEPS)


def _lines_refused(tables: Sequence[RowSource]) -> int:
    return sum(len(list(one.refused)) for one in tables if isinstance(one, SourceTable))


def _print(  # noqa: PLR0917 - one figure after the other
    console: Console, out: Path, version: str, counts: ScoreCounts, refused: int, seconds: float
) -> None:
    speed = (counts.rows - counts.kept) / seconds
    title = f"{counts.rows:,} rows by {version} in {seconds:.1f} s ({speed:,.0f} a second)"
    table = DataTable("rows", "count", title=title)
    table.columns[1].justify = "right"
    without = counts.errors.total()
    table.add_row(f"scored, in {out}", f"{counts.rows - without:,}")
    if counts.kept:
        table.add_row("of them by an earlier start", f"{counts.kept:,}")
    if without:
        table.add_row("without an answer, the column error says why", f"{without:,}")
    for reason, count in counts.errors.most_common(_SHOWN_REASONS):
        table.add_row(f"  {counts.examples[reason]}", f"{count:,}", style="dim")
    if refused:
        table.add_row("lines that are not rows, left out", f"{refused:,}")
    console.print(table)
