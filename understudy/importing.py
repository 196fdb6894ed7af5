"""`understudy import`: a file into TransactionHistoryLogs, with a bar and a summary."""

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from shared.clock import SystemClock
from shared.importing.importer import ImportSummary, import_files
from shared.importing.mapping import read_mapping
from understudy.progress import shown

REASONS_SHOWN = 12
# The bar counts in thousandths of the file: rows are not known before the end.
STEPS = 1_000


def import_transactions(
    engine: Engine, files: list[Path], mapping_file: Path, rejects: Path, console: Console
) -> ImportSummary:
    """Import and print what became of the rows.

    Raises:
        MappingError: the mapping is wrong or does not fit the file; nothing was written.
        DataUnavailable: the file or the database cannot be used to the end.
    """
    mapping = read_mapping(mapping_file)
    started = time.monotonic()
    with shown(f"importing {files[0].name}", in_percent=True) as advance:

        def progress(share: float, _summary: ImportSummary) -> None:
            advance(round(share * STEPS), STEPS)

        now_us = SystemClock().now_us()
        summary = import_files(engine, files, mapping, rejects, now_us, progress=progress)
    _print(console, summary, rejects, time.monotonic() - started)
    return summary


def _print(console: Console, summary: ImportSummary, rejects: Path, seconds: float) -> None:
    table = Table("rows", "count", title=f"{summary.read:,} rows in {seconds:.1f} s")
    table.columns[1].justify = "right"
    table.add_row("imported", f"{summary.inserted:,}")
    table.add_row("there already, or repeated in the file", f"{summary.duplicates:,}")
    table.add_row("rejected", f"{summary.rejected:,}")
    for reason, count in summary.reasons.most_common(REASONS_SHOWN):
        table.add_row(f"  {reason}", f"{count:,}", style="dim")
    console.print(table)
    if summary.rejected:
        console.print(f"Rejected rows and why: {rejects}", highlight=False, soft_wrap=True)
