"""`understudy import` for a declared use case: its source, or files that are named."""

import time
from pathlib import Path

from rich.console import Console
from sqlalchemy import Engine

from shared.clock import SystemClock
from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.importer import ImportCounts
from understudy.terminal import DataTable, shown
from usecases.declared.refresh import import_source

_SHOWN_REASONS = 12
# the bar counts in thousandths of the source: rows are not known before the end
_STEPS = 1_000


def import_declared(
    engine: Engine, folder: Path, files: list[Path], console: Console
) -> ImportCounts:
    """Import and print what became of the rows.

    Raises:
        UnderstudyError: the declaration, the source or the database cannot be used.
    """
    declared = read_declaration(folder / FILE_NAME)
    started = time.monotonic()
    with shown(f"importing {declared.use_case.name}", in_percent=True) as advance:

        def progress(share: float, _counts: ImportCounts) -> None:
            advance(round(share * _STEPS), _STEPS)

        now_us = SystemClock().now_us()
        counts = import_source(engine, declared, folder, now_us, files=files, progress=progress)
    _print(console, counts, time.monotonic() - started)
    return counts


def _print(console: Console, counts: ImportCounts, seconds: float) -> None:
    table = DataTable("rows", "count", title=f"{counts.read:,} rows in {seconds:.1f} s")
    table.columns[1].justify = "right"
    table.add_row("imported", f"{counts.inserted:,}")
    table.add_row("there already", f"{counts.repeated:,}")
    table.add_row("rejected", f"{counts.rejected:,}")
    for reason, count in counts.reasons.most_common(_SHOWN_REASONS):
        table.add_row(f"  {counts.examples[reason]}", f"{count:,}", style="dim")
    if counts.labels.new:
        table.add_row("labels that arrived", f"{counts.labels.new:,}")
    if counts.labels.changed:
        table.add_row("labels that changed, the old ones are kept", f"{counts.labels.changed:,}")
    console.print(table)
