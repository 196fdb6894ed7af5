"""The output of `understudy new`: every column with its kind and reason, then warnings."""

from pathlib import Path

from rich.console import Console

import usecases
from shared.clock import SystemClock
from shared.rows.declaration import FILE_NAME
from shared.rows.importer import ImportCounts
from understudy.terminal import DataTable
from usecases.declared.proposal.new import NewFolder, new_use_case
from usecases.declared.proposal.proposal import counted
from usecases.declared.proposal.request import NewUseCase

_SHOWN_COLUMNS = 60
_SHOWN_REASONS = 8


def propose_use_case(asked: NewUseCase, folder: Path | None, console: Console) -> None:
    """Write the folder of a use case and print what was guessed.

    Raises:
        CannotPropose: nothing was written; says what to do.
    """
    root = folder or Path(usecases.__file__).parent
    made = new_use_case(asked, root, SystemClock().now_us())
    console.print(_columns(made))
    _print_warnings(made, console)
    _print_rows(made.counts, console)
    _say(console, f"Written: {_shown(made.folder / FILE_NAME)}")
    _say(console, f"Look at every line, then: understudy run --use-case {asked.name}")


def _columns(made: NewFolder) -> DataTable:
    proposal = made.proposal
    title = f"{made.proposal.asked.name}: {proposal.label.task}, {proposal.rows:,} rows"
    table = DataTable("column", "kind", "why", title=title)
    table.add_row(proposal.asked.label, "label", proposal.label.why)
    if proposal.asked.time is not None:
        table.add_row(proposal.asked.time, "time", "as you said")
    if proposal.asked.entity is not None:
        table.add_row(proposal.asked.entity, "entity", "as you said")
    if proposal.row_id is not None and proposal.row_id != proposal.asked.entity:
        table.add_row(proposal.row_id, "row id", proposal.row_id_why)
    for guess in proposal.guesses[:_SHOWN_COLUMNS]:
        kind = "left out" if guess.kind is None else str(guess.kind)
        table.add_row(guess.source, kind, guess.why, style="dim" * (not guess.kind))
    if len(proposal.guesses) > _SHOWN_COLUMNS:
        table.add_row(f"and {len(proposal.guesses) - _SHOWN_COLUMNS:,} more", "", "see the file")
    return table


def _print_warnings(made: NewFolder, console: Console) -> None:
    for guess in made.proposal.guesses:
        if guess.kind is None:
            continue
        for warning in guess.warnings:
            _say(console, f"warning: {guess.source}: {warning}", "yellow")
    for warning in made.proposal.label.warnings:
        _say(console, f"warning: {made.proposal.asked.label}: {warning}", "yellow")
    for note in made.proposal.notes:
        _say(console, f"note: {note}")
    if made.proposal.asked.no_time:
        _say(console, "note: without a time the future is not held out; the report notes it")


def _print_rows(counts: ImportCounts, console: Console) -> None:
    if not counts.rejected:
        _say(console, f"All {counts.read:,} rows fit.")
        return
    fit = "does not fit" if counts.rejected == 1 else "do not fit"
    _say(console, f"{counts.rejected:,} of {counts.read:,} rows {fit}:", "yellow")
    for reason, count in counts.reasons.most_common(_SHOWN_REASONS):
        _say(console, f"  {counted(count)}: {counts.examples[reason]}", "yellow")


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
