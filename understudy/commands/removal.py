"""`understudy archive` and `understudy erase`: old rows into files, and one entity out of them."""

from pathlib import Path
from typing import Annotated

import typer

import usecases
from shared.errors import SettingsError
from understudy.commands.options import Reason
from understudy.settings import load_settings
from understudy.terminal import LAKE, console, lake_of, open_database, shown


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(archive)
    app.command()(erase)


def archive(
    *,
    older_than: Annotated[
        str, typer.Option(help="Days since the event, such as 400d.", show_default=False)
    ],
    to: Annotated[
        str, typer.Option(help="The folder of the files, or `lake`: the one of LAKE_URL.")
    ] = "var/archive",
) -> None:
    """Move old rows with their labels and decisions into files, and free their space.

    A folder gets Parquet files, a lake Delta tables, which training goes on reading. A file is on
    the disk before its rows go. Every user's first row and the newest of the old ones stay, so
    features of live rows are what they were. ARCHIVE_OLDER_THAN_DAYS makes the scheduler do it
    every day.

    **Examples**

        understudy archive --older-than 400d

        understudy archive --older-than 730d --to /mnt/archive

        LAKE_URL=s3://bucket/lake understudy archive --older-than 200d --to lake
    """
    try:
        import polars as pl  # noqa: F401, PLC0415 - not in the API's container
    except ModuleNotFoundError as error:
        raise SettingsError(
            "archiving is in the scheduler's container: `docker compose exec scheduler "
            "understudy archive ...`"
        ) from error
    from shared.clock import SystemClock  # noqa: PLC0415
    from shared.rows.tables import logs_of_folder  # noqa: PLC0415
    from shared.tables.archive import archive_rows  # noqa: PLC0415

    days = _days(older_than)
    settings = load_settings()
    folder = usecases.declared_folder(settings.use_case)
    lake = lake_of(settings) if to == LAKE else None
    with open_database(settings) as engine, shown("archiving") as advance:
        now_us, logs = SystemClock().now_us(), logs_of_folder(folder)
        counts = archive_rows(engine, logs, lake or Path(to), now_us, days, told=advance)
    if not any(counts.values()):
        console.print(f"no row is older than {days:g} days, or all are still needed")
    for name, count in counts.items():
        if count:
            place = lake.place_of(name) if lake else Path(to) / name
            console.print(f"{count:,} of {name}, now in {place}", markup=False)
            if lake:
                lake.compact(name)


def _days(text: str) -> float:
    number = text.strip().lower().removesuffix("d")
    try:
        return float(number)
    except ValueError as error:
        raise typer.BadParameter(
            "a number of days, such as 400d", param_hint="--older-than"
        ) from error


def erase(
    *,
    entity: Annotated[
        str, typer.Option(help="The user, or what a declaration calls entity.", show_default=False)
    ],
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase what is stored of one entity: rows, labels, decisions, archives, held-out sets.

    It cannot be undone, and also takes what was kept to undo earlier changes. A line in
    `understudy rows changes` says who erased, when, why and how many rows, with a digest of
    the name instead of the name. A running API forgets the entity's rows within a second.

    **Examples**

        understudy erase --entity u17 --reason "request 2026-114, article 17"

        understudy erase --entity u17 --reason "request 2026-114" --yes
    """
    try:
        from scheduler.settings import load_settings as scheduler_settings  # noqa: PLC0415
        from understudy.erase import erase as erase_all  # noqa: PLC0415
        from understudy.erase import print_erased  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "the scheduler's container has the files too: `docker compose exec scheduler "
            "understudy erase ...`"
        ) from error
    if not yes:
        console.print(f"Everything stored of {entity!r} is deleted for ever.", markup=False)
        typer.confirm("Erase it?", abort=True)
    with open_database(load_settings()) as engine:
        print_erased(console, entity, erase_all(engine, scheduler_settings(), entity, reason))
