"""`understudy journal drain`: decisions of a lost host, from its volume into the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import usecases
from shared.errors import SettingsError
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, open_database

if TYPE_CHECKING:
    from api.journal.orphaned import DrainCounts, LostJournal

_journal = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(_journal, name="journal")


@_journal.callback()
def _group() -> None:
    """Rescue the write-ahead log of decisions of a host that is lost.

    **Examples**

        understudy journal drain /mnt/api-1/journal --dry-run
    """


@_journal.command()
def drain(
    folder: Annotated[
        Path, typer.Argument(help="JOURNAL_DIR of the lost host.", show_default=False)
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the waiting records; change nothing.")
    ] = False,
) -> None:
    """Drain the journal of a host that is lost, from its volume into the database.

    For a host that does not come back; one that does drains its journal at the start. Settings
    are those of the lost host: USE_CASE and DATABASE_URL. Rows that the database has stay as they
    are, so the command may be run again. A journal that a running process holds is refused.

    **Examples**

        understudy journal drain /mnt/api-1/journal --dry-run

        understudy journal drain /mnt/api-1/journal
    """
    settings = load_settings()
    journal = _lost_journal(folder, settings.use_case)
    if dry_run:
        _print_waiting(journal.look())
        return
    with open_database(settings) as engine:
        _print_drained(journal.drain(engine))


def _lost_journal(folder: Path, use_case: str) -> "LostJournal":
    try:
        from api.journal.entries import RecordFormat  # noqa: PLC0415
        from api.journal.orphaned import LostJournal  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "journals are in the API's container: `docker compose run --rm api understudy "
            "journal drain ...`"
        ) from error
    features = usecases.load_serving(use_case).feature_set
    return LostJournal(folder, RecordFormat(usecases.row_store(use_case)), features)


def _print_waiting(found: "DrainCounts") -> None:
    if not found.records:
        console.print("nothing waits for the database")
    for kind, count in sorted(found.records.items()):
        console.print(f"{count:,} of kind {kind} wait for the database")
    if found.damaged:
        console.print(f"{found.damaged} copies of damaged parts are in the folder")


def _print_drained(found: "DrainCounts") -> None:
    table = DataTable("records", "count", title="drained")
    table.columns[1].justify = "right"
    rows = {
        "decisions, new in the database": found.new,
        "decisions that the database had": found.known,
        "of these: decided by another host first": found.superseded,
        "labels stored": found.labels,
        "in the dead-letter file of the folder": len(found.refused),
        "copies of damaged parts in the folder": found.damaged,
    }
    for name, count in rows.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
    for kind, reason in found.refused[:10]:
        console.print(f"not stored: a {kind}: {reason}")
