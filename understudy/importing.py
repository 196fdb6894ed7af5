"""`understudy import`: a file into TransactionHistoryLogs, with a bar and a summary."""

import time
from pathlib import Path

import polars as pl
from rich.console import Console
from sqlalchemy import Engine

from shared.clock import SystemClock
from shared.importing.convert import Converted
from shared.importing.importer import ImportSummary, LakeImport, import_files, preview
from shared.importing.lake import Lake
from shared.importing.mapping import INSTANTS, MappingError, read_mapping
from shared.importing.mending import MendedRows
from shared.importing.propose import propose
from shared.tables.archive import LEAST_DAYS
from shared.tables.data_changes import is_synthetic
from understudy.terminal import DataTable, shown
from usecases.fraud.exports import LABEL_WORDS

REASONS_SHOWN = 12
# Steps of the progress bar: the number of rows is unknown until the end.
STEPS = 1_000


def import_transactions(
    engine: Engine,
    files: list[Path],
    mapping_file: Path,
    rejects: Path,
    console: Console,
    *,
    update: bool = False,
    lake: Lake | None = None,
) -> ImportSummary:
    """Import and print what became of the rows.

    Raises:
        MappingError: the mapping is wrong or does not fit the file; nothing was written.
        DataUnavailable: the file or the database cannot be used to the end.
    """
    mapping = read_mapping(mapping_file).knowing(LABEL_WORDS)
    started = time.monotonic()
    with shown(f"importing {files[0].name}", in_percent=True) as advance:

        def progress(share: float, _summary: ImportSummary) -> None:
            advance(round(share * STEPS), STEPS)

        now_us = SystemClock().now_us()
        to_lake = (
            None
            if lake is None
            else LakeImport(lake, now_us, row_id="transaction_id", entity="user_id")
        )
        summary = import_files(
            engine,
            files,
            mapping,
            rejects,
            now_us,
            progress=progress,
            update=update,
            reads=(mapping_file,),
            lake=to_lake,
        )
    _print(console, summary, rejects, time.monotonic() - started)
    if to_lake is not None:
        _print_lake(console, to_lake)
    return summary


def refuse_synthetic(engine: Engine, *, is_meant: bool) -> None:
    """Refuse to mix real rows with simulated ones: a model would learn both.

    Raises:
        MappingError: the simulator filled this database, and mixing was not requested.
    """
    if is_synthetic(engine) and not is_meant:
        raise MappingError(
            "this database holds the simulated rows of the first start: stop the services and "
            "start over with `understudy reset`, or add --beside-synthetic"
        )


def preview_transactions(files: list[Path], mapping_file: Path, console: Console) -> int:
    """Print ten rows as they would be stored, and why others would not be; the exit status.

    Raises:
        MappingError: the mapping is wrong or does not fit the files.
        DataUnavailable: a file cannot be read.
    """
    found, notes = preview(
        files, read_mapping(mapping_file).knowing(LABEL_WORDS), SystemClock().now_us()
    )
    rows = found.accepted.with_columns(
        pl.from_epoch(name, time_unit="us").dt.strftime("%Y-%m-%d %H:%M:%S%.fZ")
        for name in INSTANTS
    )
    for at, row in enumerate(rows.iter_rows(named=True), 1):
        table = DataTable(f"row {at}", "as it would be stored")
        for name, value in row.items():
            if value is not None:
                table.add_row(name, str(value))
        console.print(table)
    lines = [f"row {row} rejected: {reason}" for row, reason in _rejected(found)]
    lines += [f"{count}: {loss}" for loss, count in found.losses.items() if count]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    _print_notes(console, notes)
    console.print("Nothing was written.")
    return 0 if found.accepted.height else 1


def _rejected(found: Converted) -> list[tuple[int, str]]:
    """Number and reason of every rejected row."""
    return list(found.rejected.select("row", "reason").iter_rows())


def propose_mapping(file: Path, out: Path | None, console: Console) -> int:
    """Write or print a proposal, and what is open about it; the exit status.

    Raises:
        MappingError: the file is not a table, or the place of the proposal is taken.
        DataUnavailable: the file cannot be read.
    """
    text, guesses, missing = propose(file, LABEL_WORDS)
    if out is None:
        console.print(text, markup=False, highlight=False, soft_wrap=True, end="")
        return 0
    try:
        with out.open("x", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise MappingError(f"cannot write {out}: {error.strerror}") from error
    table = DataTable("here", "in the file", "why")
    for guess in guesses:
        table.add_row(guess.ours, guess.theirs, guess.why)
    console.print(table)
    for name in missing:
        console.print(f"No column seems to be {name}: name it in {out}.", soft_wrap=True)
    console.print(f"Look at {out}, then: understudy import {file} --mapping {out} --dry-run",
                  markup=False, soft_wrap=True)  # fmt: skip
    return 0


def _print_lake(console: Console, lake: LakeImport) -> None:
    text = (
        f"{lake.rows:,} of them are older than {LEAST_DAYS:.0f} days and now in {lake.place}; an "
        "undo does not reach them."
    )
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _add_mended(table: DataTable, mended: MendedRows) -> None:
    """The outcome of rows that were stored before."""
    counts = {
        "labels that arrived": mended.labels_new,
        "labels that changed": mended.labels_changed,
        "labels older than the stored ones, left out": mended.labels_older,
        "rows that differ from the stored ones": mended.differing,
        "of them updated from the file": mended.updated,
    }
    for what, count in counts.items():
        if count:
            table.add_row(what, f"{count:,}")


def _print_notes(console: Console, notes: tuple[str, ...]) -> None:
    for note in notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _print(
    console: Console,
    summary: ImportSummary,
    rejects: Path,
    seconds: float,
) -> None:
    if summary.read and summary.rejected == summary.read:
        [(reason, count)] = summary.reasons.most_common(1)
        text = f"Every row was rejected; for {count:,} of {summary.read:,} because {reason}."
        console.print(text, markup=False, highlight=False, soft_wrap=True, style="red")
    table = DataTable("rows", "count", title=f"{summary.read:,} rows in {seconds:.1f} s")
    table.columns[1].justify = "right"
    table.add_row("imported", f"{summary.inserted:,}")
    table.add_row("there already, or repeated in the file", f"{summary.duplicates:,}")
    table.add_row("rejected", f"{summary.rejected:,}")
    for reason, count in summary.reasons.most_common(REASONS_SHOWN):
        table.add_row(f"  {reason}", f"{count:,}", style="dim")
    for loss, count in (+summary.losses).most_common(REASONS_SHOWN):
        table.add_row(loss, f"{count:,}")
    _add_mended(table, summary.mended)
    console.print(table)
    _print_notes(console, summary.notes)
    for example in summary.mended.examples:
        console.print(f"differs: {example}", markup=False, highlight=False, soft_wrap=True)
    if summary.mended.differing > summary.mended.updated:
        console.print("Rows that differ stay as they are stored; --update sets them.")
    undo = f'To undo: understudy rows undo {summary.number} --reason "..."'
    ended = undo if summary.has_changed else "Nothing was changed."
    console.print(ended, highlight=False, markup=False)
    if summary.rejected:
        text = f"Rejected rows and why: {rejects}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
