"""`understudy doctor`, `backup`, `restore` and `journal drain`: to keep an installation working."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import usecases
from shared.errors import SettingsError
from understudy.backup.archive import BackupManifest
from understudy.commands.options import AsJson
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, open_database, second_of, styled, write_json

_STYLES = {"ok": "green", "note": "yellow", "fault": "red"}

Archive = Annotated[Path, typer.Argument(help="The archive.", show_default=False)]

_journal = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)
    app.add_typer(_journal, name="journal")


def doctor(as_json: AsJson = False) -> None:
    """Check folders, database, keys, ports, services, clock, disk and native parts.

    Nothing is changed but for a temporary file in each folder. A note is not a fault: it says what
    is not as fast, or not there yet.

    **Exit status**: 0 no fault, 1 a fault, 2 a setting cannot be used.

    **Examples**

        understudy doctor

        understudy doctor --json

        docker compose exec api understudy doctor
    """
    from understudy.doctor import examine  # noqa: PLC0415 - reads the settings of both services

    checks = examine()
    if as_json:
        write_json([asdict(check) for check in checks])
    else:
        table = DataTable(box=None, pad_edge=False, show_header=False)
        for name in ("", "check", "found"):
            table.add_column(name, no_wrap=name != "found")
        for check in checks:
            found = f"{check.found}; {check.remedy}" if check.remedy else check.found
            table.add_row(styled(check.state, _STYLES[check.state]), check.name, found)
        console.print(table)
    raise typer.Exit(1 if any(check.state == "fault" for check in checks) else 0)


def backup(
    target: Annotated[
        # str: Path would drop the final slash, which means a folder
        str,
        typer.Argument(
            help="Where to write the archive: a file that does not exist, or a folder (NAME/).",
            show_default=False,
        ),
    ],
    *,
    keys: Annotated[
        Path | None,
        typer.Option(help="Where to write the keys and tokens, which the archive never holds."),
    ] = None,
) -> None:
    """Back up the instance of the settings while it runs: database, journal, registry, candidates.

    The copy is consistent: it holds every decision that was acknowledged before the printed
    recovery point. Keys go to a file of their own, and only if --keys names one: who has both can
    sign models. docs/operations/backup.md says how to rehearse a restore.

    **Examples**

        understudy backup /backups/

        understudy backup /backups/monday.backup --keys /safe/monday.keys
    """
    from understudy.backup.create import make_backup, place_of  # noqa: PLC0415
    from understudy.backup.places import load_settings  # noqa: PLC0415

    made = make_backup(load_settings(), place_of(target), keys)
    console.print(f"Wrote {made.path} ({_mebibytes(made.path)}).", soft_wrap=True)
    _print_manifest(made.manifest)
    if made.keys is None:
        console.print("The keys are not in it; --keys FILE writes them to a file of their own.")
    else:
        console.print(f"Wrote {made.keys}: keep it apart from the archive.", soft_wrap=True)


def restore(
    archive: Archive,
    *,
    keys: Annotated[Path | None, typer.Option(help="The archive of the keys.")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Move data that is there aside, or replace a server's."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check the archive only; change nothing.")
    ] = False,
) -> None:
    """Restore an instance from an archive of `understudy backup`; stop the services first.

    The whole archive is compared with its digests before anything is changed. Data that is there
    is named and stays, unless --force is given.

    **Exit status**: 0 restored, 2 refused, in one sentence; nothing was changed.

    **Examples**

        understudy restore /backups/monday.backup --check

        understudy restore /backups/monday.backup --keys /safe/monday.keys
    """
    from understudy.backup.places import load_settings  # noqa: PLC0415
    from understudy.backup.restore import check_archive  # noqa: PLC0415
    from understudy.backup.restore import restore as put_in_place  # noqa: PLC0415

    if check:
        _print_manifest(check_archive(archive))
        console.print("The archive is whole.")
        return
    done = put_in_place(load_settings(), archive, keys, force=force)
    _print_manifest(done.manifest)
    if done.aside is not None:
        console.print(f"What was there is in folders named {done.aside}.", soft_wrap=True)
    console.print("Restored. Start the services; decisions of the journal are stored then.")


def _print_manifest(manifest: BackupManifest) -> None:
    size = sum(member.size for member in manifest.files)
    console.print(
        f"Recovery point {second_of(manifest.recovery_point)}, live version "
        f"{manifest.live_version or 'none'}, {len(manifest.files)} files, {size / 2**20:,.1f} MiB.",
        soft_wrap=True,
    )


def _mebibytes(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:,.1f} MiB"


if TYPE_CHECKING:
    from api.journal.orphaned import DrainCounts, LostJournal


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
