"""`understudy import` and `rebuild-tiles`: what goes into the database by hand."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.settings import load_settings
from understudy.terminal import console, open_database


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(name="import")(import_)
    app.command(name="rebuild-tiles")(rebuild_tiles)


def import_(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV.", show_default=False)],
    mapping: Annotated[
        Path, typer.Option(help="TOML: which of its columns is which.", show_default=False)
    ],
    rejected: Annotated[
        Path | None, typer.Option(help="Where rejected rows go. Default: FILE.rejected.csv")
    ] = None,
) -> None:
    """Import your own transactions into TransactionHistoryLogs.

    The mapping says which column of the file is which of ours; docs/examples has one that
    shows everything it can say. Rows that do not fit go to a file of their own, with reasons.
    Rows that are there already are skipped, so an import can simply be repeated.

    **Examples**

        understudy import transactions.parquet --mapping mapping.toml

        understudy import old.csv --mapping docs/examples/full-mapping.toml --rejected bad.csv

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
    from understudy.importing import import_transactions  # noqa: PLC0415

    rejects = rejected or file.with_name(file.name + ".rejected.csv")
    with open_database(load_settings()) as engine:
        import_transactions(engine, [file], mapping, rejects, console)


def rebuild_tiles() -> None:
    """Count the merchant tiles again, after rows were written to the logs by hand.

    Everything that writes through this program keeps the tiles right by itself.

    **Examples**

        understudy rebuild-tiles
    """
    from shared.tables.tile_counts import rebuild_tiles as rebuild  # noqa: PLC0415

    with open_database(load_settings()) as engine, engine.begin() as connection:
        console.print(f"{rebuild(connection):,} tiles")
