"""`understudy archive`: old rows as Parquet files, out of the database."""

from pathlib import Path
from typing import Annotated

import typer

import usecases
from shared.errors import SettingsError
from understudy.settings import load_settings
from understudy.terminal import console, open_database, shown


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(archive)


def archive(
    *,
    older_than: Annotated[
        str, typer.Option(help="Days since the event, such as 400d.", show_default=False)
    ],
    to: Annotated[Path, typer.Option(help="The folder of the files.")] = Path("var/archive"),
) -> None:
    """Move old rows with their labels and decisions into Parquet files, and free their space.

    The file is on the disk before its rows go. Every user's first row and the newest of the old
    ones stay, so features of live rows are what they were. ARCHIVE_OLDER_THAN_DAYS makes the
    scheduler do it every day.

    **Examples**

        understudy archive --older-than 400d

        understudy archive --older-than 730d --to /mnt/archive
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
    with open_database(settings) as engine, shown("archiving") as advance:
        now_us = SystemClock().now_us()
        counts = archive_rows(engine, logs_of_folder(folder), to, now_us, days, told=advance)
    if not any(counts.values()):
        console.print(f"no row is older than {days:g} days, or all are still needed")
    for name, count in counts.items():
        if count:
            console.print(f"{count:,} of {name}, now in {to / name}", markup=False)


def _days(text: str) -> float:
    number = text.strip().lower().removesuffix("d")
    try:
        return float(number)
    except ValueError as error:
        raise typer.BadParameter(
            "a number of days, such as 400d", param_hint="--older-than"
        ) from error
