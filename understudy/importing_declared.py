"""`understudy import` for a declared use case: its source, or files that are named."""

import time
from collections import Counter
from pathlib import Path

import polars as pl
from rich.console import Console
from sqlalchemy import Engine

from shared.clock import SystemClock
from shared.importing.rejects import RejectsFile
from shared.rows.convert import REASON
from shared.rows.declaration import FILE_NAME, Declaration, read_declaration
from shared.rows.importer import ImportCounts, KeepRejected
from shared.rows.schema import Kind
from shared.tasks import TaskKind
from understudy.terminal import DataTable, shown
from usecases.declared.refresh import import_source, preview_source

_SHOWN_REASONS = 12
# steps of the progress bar: the number of rows is unknown until the end
_STEPS = 1_000
_INSTANTS = ("event_time", "ingested_at", "label_known_at")


def preview_declared(engine: Engine, folder: Path, files: list[Path], console: Console) -> int:
    """Print ten rows as they would be stored, and why others would not be; the exit status.

    Raises:
        UnderstudyError: the declaration or the source cannot be used.
    """
    declared = read_declaration(folder / FILE_NAME)
    found = preview_source(engine, declared, folder, SystemClock().now_us(), files=files)
    moments = [c.name for c in declared.row_schema.columns if c.kind is Kind.MOMENT]
    instants = [*_INSTANTS, *moments]
    rows = found.accepted.with_columns(
        pl.from_epoch(name, time_unit="us").dt.strftime("%Y-%m-%d %H:%M:%S%.fZ")
        for name in instants
    )
    task = declared.row_schema.task
    names = () if task.kind is TaskKind.RANKING else task.names
    for at, row in enumerate(rows.iter_rows(named=True), 1):
        table = DataTable(f"row {at}", "as it would be stored")
        for name, value in row.items():
            if value is not None:
                table.add_row(name, names[int(value)] if names and name == "label" else str(value))
        console.print(table)
    for number, reason in found.rejected.select("row", REASON).iter_rows():
        console.print(f"row {number} rejected: {reason}", markup=False, highlight=False)
    console.print("Nothing was written.")
    return 0 if found.accepted.height else 1


def import_declared(
    engine: Engine,
    folder: Path,
    files: list[Path],
    console: Console,
    rejects: Path | None = None,
) -> ImportCounts:
    """Import and print what became of the rows; rejected ones go to `rejects`, where it is given.

    Raises:
        UnderstudyError: the declaration, the source or the database cannot be used.
    """
    declared = read_declaration(folder / FILE_NAME)
    if rejects is None:
        return _import(engine, declared, folder, files, console, lambda _rows: None)
    columns = _source_columns(declared)
    with RejectsFile(rejects, columns, Counter(), files) as kept:

        def keep(rows: pl.DataFrame) -> None:
            missing = [name for name in columns if f"\0{name}" not in rows.columns]
            padded = rows.with_columns(pl.lit(None).alias(f"\0{name}") for name in missing)
            kept.add_rows(padded.select("row", "line", REASON, *(f"\0{one}" for one in columns)))

        counts = _import(engine, declared, folder, files, console, keep)
    if counts.rejected:
        console.print(f"Rejected rows and why: {rejects}", markup=False, soft_wrap=True)
    return counts


def _source_columns(declared: Declaration) -> tuple[str, ...]:
    """Every column of a source that is read, each once."""
    schema, roles = declared.row_schema, declared.row_schema.roles
    about = (roles.row_id, roles.entity, roles.time, roles.label, roles.known_at)
    names = [*(column.source for column in schema.columns), *(one for one in about if one)]
    return tuple(dict.fromkeys((*names, *roles.item_labels)))


def _import(  # noqa: PLR0917 - as `import_declared` takes them
    engine: Engine,
    declared: Declaration,
    folder: Path,
    files: list[Path],
    console: Console,
    keep_rejected: KeepRejected,
) -> ImportCounts:
    started = time.monotonic()
    with shown(f"importing {declared.use_case.name}", in_percent=True) as advance:

        def progress(share: float, _counts: ImportCounts) -> None:
            advance(round(share * _STEPS), _STEPS)

        now_us = SystemClock().now_us()
        counts = import_source(
            engine,
            declared,
            folder,
            now_us,
            files=files,
            progress=progress,
            keep_rejected=keep_rejected,
        )
    _print(console, counts, time.monotonic() - started)
    return counts


def _print(console: Console, counts: ImportCounts, seconds: float) -> None:
    table = DataTable("rows", "count", title=f"{counts.read:,} rows in {seconds:.1f} s")
    table.columns[1].justify = "right"
    table.add_row("imported", f"{counts.inserted:,}")
    table.add_row("there already", f"{counts.repeated:,}")
    if counts.differing:
        table.add_row("  with other values than are stored, which stay", f"{counts.differing:,}")
    table.add_row("rejected", f"{counts.rejected:,}")
    for reason, count in counts.reasons.most_common(_SHOWN_REASONS):
        table.add_row(f"  {counts.examples[reason]}", f"{count:,}", style="dim")
    if counts.labels.new:
        table.add_row("labels that arrived", f"{counts.labels.new:,}")
    if counts.labels.changed:
        table.add_row("labels that changed, the old ones are kept", f"{counts.labels.changed:,}")
    console.print(table)
    if counts.differing:
        console.print(
            f"For example {counts.difference}. `understudy rows fix` changes stored rows.",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
