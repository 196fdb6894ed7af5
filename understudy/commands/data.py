"""`understudy import` and `rebuild-tiles`: what goes into the database by hand."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

import usecases
from shared.errors import SettingsError
from shared.importing import REJECTED
from understudy.settings import CommandSettings, load_settings
from understudy.terminal import LAKE, console, lake_of, make_database, open_database


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(name="import")(import_)
    app.command()(mapping)
    app.command(name="rebuild-tiles")(rebuild_tiles)
    app.command()(reset)


Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Parquet, CSV, .gz, .zip, or folders of them. Default for a declared use case: its "
        "source.",
        show_default=False,
    ),
]
MappingFile = Annotated[
    Path | None,
    typer.Option(
        help="TOML file that maps its columns; a declared use case needs none.",
        show_default=False,
    ),
]
Rejected = Annotated[
    Path | None,
    typer.Option(
        help="File for rejected rows; it overwrites only a file that an import made. "
        "Default: FILE.rejected.csv, in the current folder if that of FILE is read-only; of a "
        "declared use case nowhere."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show ten rows as they would be stored; write nothing.")
]


Update = Annotated[
    bool, typer.Option("--update", help="Update stored rows that differ from the file.")
]
To = Annotated[
    Literal["database", "lake"],
    typer.Option(help="Where rows older than 180 days are stored; the lake is that of LAKE_URL."),
]
Beside = Annotated[
    bool,
    typer.Option("--beside-synthetic", help="Import although the database holds simulated rows."),
]


def import_(
    files: Files = None,
    *,
    mapping: MappingFile = None,
    rejected: Rejected = None,
    dry_run: DryRun = False,
    update: Update = False,
    beside_synthetic: Beside = False,
    to: To = "database",
) -> None:
    """Import your own rows: transactions with a mapping, or those of a declared use case.

    The mapping assigns columns of the files to the columns that are stored; `understudy mapping
    FILE` proposes one, and docs/importing.md describes it. Rows that do not fit go to
    a separate file, with reasons.

    Rows that are there already stay, so an import can be repeated; labels that arrived or
    changed since are stored, other differences are reported, and set with --update. Every import
    has a number: `understudy rows undo` takes it back.

    **Exit status**: 0 imported, 1 every row was rejected, 2 nothing was written.

    **Examples**

        understudy mapping transactions.csv --out mapping.toml

        understudy import transactions.csv --mapping mapping.toml --dry-run

        understudy import january.csv.gz february.csv.gz --mapping mapping.toml

        understudy import old.csv --mapping docs/examples/full-mapping.toml --rejected bad.csv

        LAKE_URL=/data/lake understudy import years/ --mapping mapping.toml --to lake

        USE_CASE=churn understudy import

    **The smallest mapping**

        [columns]
        transaction_id = "id"
        user_id = "customer"
        event_time = "booked_at"
        amount = "amount"
        merchant_id = "shop"

        [time]
        zone = "UTC"
    """
    settings = load_settings()
    folder = usecases.declared_folder(settings.use_case)
    if folder is None:
        _import_transactions(
            settings, files or [], mapping, rejected, to=to, dry_run=dry_run, update=update,
            beside_synthetic=beside_synthetic,
        )  # fmt: skip
        return
    _refuse_for_declared(mapping, to, update=update, beside_synthetic=beside_synthetic)
    _import_declared(settings, folder, files or [], rejected, dry_run=dry_run)


def _import_transactions(
    settings: CommandSettings,
    files: list[Path],
    mapping: Path | None,
    rejected: Path | None,
    *,
    to: str,
    dry_run: bool,
    update: bool,
    beside_synthetic: bool,
) -> None:
    """Exit status 1: every row was rejected."""
    from understudy.importing import (  # noqa: PLC0415
        import_transactions,
        preview_transactions,
        refuse_synthetic,
    )

    if not files or mapping is None:
        raise SettingsError("name the files and --mapping; `understudy mapping FILE` proposes one")
    if dry_run:
        raise typer.Exit(preview_transactions(files, mapping, console))
    first = files[0]
    rejects = rejected or _place_for_rejects(first.with_name(first.name + REJECTED))
    with make_database(settings) as engine:
        refuse_synthetic(engine, is_meant=beside_synthetic)
        lake = lake_of(settings) if to == LAKE else None
        summary = import_transactions(
            engine, files, mapping, rejects, console, update=update, lake=lake
        )
    if summary.read and summary.rejected == summary.read:
        raise typer.Exit(1)


def _refuse_for_declared(
    mapping: Path | None, to: str, *, update: bool, beside_synthetic: bool
) -> None:
    """Options that would have no effect are refused rather than ignored."""
    why = "leave it out for a declared use case"
    if mapping is not None:
        raise SettingsError(f"--mapping: {why}: usecase.toml names columns (from = ...)")
    if update:
        raise SettingsError(
            f"--update: {why}: its rows stay as they first came, labels are updated anyway, and "
            "`understudy rows fix` corrects values"
        )
    if beside_synthetic:
        raise SettingsError(f"--beside-synthetic: {why}: no simulator fills its database")
    if to == "lake":
        raise SettingsError(
            f"--to lake: {why}: [source] files names the place its rows are read from"
        )


def _import_declared(
    settings: CommandSettings,
    folder: Path,
    files: list[Path],
    rejected: Path | None,
    *,
    dry_run: bool,
) -> None:
    """Exit status 1: every row was rejected."""
    from understudy.importing_declared import (  # noqa: PLC0415
        import_declared,
        preview_declared,
    )

    with make_database(settings) as engine:
        if dry_run:
            raise typer.Exit(preview_declared(engine, folder, files, console))
        counts = import_declared(engine, folder, files, console, rejected)
    if counts.read and counts.rejected == counts.read:
        raise typer.Exit(1)


def _place_for_rejects(beside: Path) -> Path:
    """Beside the input; where that takes no files, in the current folder, or a temporary one.

    A place that a person names is not exchanged: it is refused by name.
    """
    folders = (beside.parent, Path.cwd(), Path(tempfile.gettempdir()))
    return next((one / beside.name for one in folders if os.access(one, os.W_OK)), beside)


def mapping(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; it must not exist. Default: print it.")
    ] = None,
) -> None:
    """Propose a mapping for a file: which of its columns may be which of ours, and why.

    **Examples**

        understudy mapping transactions.csv

        understudy mapping transactions.csv --out mapping.toml
    """
    from understudy.importing import propose_mapping  # noqa: PLC0415

    raise typer.Exit(propose_mapping(file, out, console))


def rebuild_tiles() -> None:
    """Count the merchant tiles again, after rows were written to the logs by hand.

    Everything that writes through this program keeps the tiles right on its own.

    **Examples**

        understudy rebuild-tiles
    """
    from shared.tables.tiles import rebuild_tiles as rebuild  # noqa: PLC0415

    with open_database(load_settings()) as engine, engine.begin() as connection:
        console.print(f"{rebuild(connection):,} tiles")


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Reset: database, journal, models and candidates are moved aside, none is deleted.

    Keys, tokens and logs stay. The next `understudy run` fills an empty database with the
    simulator's world again; with SEED_EMPTY_DATABASE=false it stays empty for your own rows.

    **Examples**

        understudy reset

        understudy reset --yes
    """
    from understudy.reset import reset as move_aside  # noqa: PLC0415

    if not yes:
        typer.confirm("Move database, journal, models and candidates aside?", abort=True)
    move_aside(console)
