"""The commands, their options and their help; the work is in the other modules."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Engine

from shared.errors import UnderstudyError
from shared.keys.tokens import Role, read_token
from shared.logs import configure_logging
from shared.tables.engine import connect, migrate
from understudy.settings import Settings, load_settings

app = typer.Typer(
    help="Keeps a tabular model in production fresh without ever promoting a worse one.",
    epilog="Begin with `understudy run`; every command explains itself with --help.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
_console = Console()
_errors = Console(stderr=True)

SeedNumber = Annotated[
    int, typer.Option("--seed", min=0, help="The same number makes the same world.")
]
Customers = Annotated[int, typer.Option(help="How many customers live in the world.", min=10)]
Days = Annotated[int, typer.Option(help="How many days of history, up to now.", min=1)]


@contextmanager
def _database(settings: Settings) -> Iterator[Engine]:
    engine = connect(settings.database_url.get_secret_value())
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


@app.command()
def run() -> None:
    """Start both services, after filling an empty database with a synthetic past.

    The scheduler trains the first model, examines it and pushes it; the API serves it about a
    minute later. Ctrl-C stops both. Where things are: the API listens on API_HOST:API_PORT
    (127.0.0.1:8000), logs go to LOGS_DIR (var/logs), the data lies in DATABASE_URL
    (sqlite:///var/understudy.db). SEED_EMPTY_DATABASE=false leaves an empty database empty.

    **Examples**

        understudy run

        API_PORT=9000 understudy run

        DATABASE_URL=postgresql://me:secret@localhost/understudy understudy run
    """
    from understudy.run import run_services  # noqa: PLC0415 - each command imports its own
    from understudy.seed import seed_if_empty  # noqa: PLC0415

    settings = load_settings()
    with _database(settings) as engine:
        if settings.seed_empty_database:
            seed_if_empty(engine, customers=1_000, days=180, seed_number=7)
    raise typer.Exit(run_services(settings, _console))


@app.command()
def seed(customers: Customers = 1_000, days: Days = 180, seed_number: SeedNumber = 7) -> None:
    """Fill an empty database with a synthetic past; one that has rows is left alone.

    **Examples**

        understudy seed

        understudy seed --customers 200 --days 90

        DATABASE_URL=sqlite:///var/other.db understudy seed --seed 8
    """
    from understudy.seed import seed_if_empty  # noqa: PLC0415

    settings = load_settings()
    if not settings.seed_empty_database:
        _console.print("SEED_EMPTY_DATABASE is off; nothing to do")
        return
    with _database(settings) as engine:
        seed_if_empty(engine, customers=customers, days=days, seed_number=seed_number)


@app.command(name="import")
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
    with _database(load_settings()) as engine:
        import_transactions(engine, file, mapping, rejects, _console)


@app.command()
def traffic(  # noqa: PLR0917 - typer makes options of them
    rate: Annotated[float, typer.Option(min=0.01, max=1_000, help="Rows a second.")] = 2.0,
    crime_share: Annotated[float, typer.Option(min=0, max=0.5, help="Share of crimes.")] = 0.01,
    label_delay: Annotated[
        float, typer.Option(min=0, help="Seconds until the truth is told to /feedback.")
    ] = 60.0,
    amount_factor: Annotated[
        float, typer.Option(min=0.01, help="Drift: amounts are this many times as high.")
    ] = 1.0,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many rows.")] = None,
    customers: Customers = 1_000,
    seed_number: SeedNumber = 7,
) -> None:
    """Send live traffic of the seeded customers to the API, and the labels some time later.

    It needs a running API with a model (API_URL). The world's own pace is one row in 43 s;
    whatever is faster makes its customers busier than the model has ever seen them, which is
    a drift of its own. Ctrl-C stops it; labels still owed are delivered before it ends.

    **Examples**

        understudy traffic

        understudy traffic --rate 20 --count 1000 --label-delay 5

        understudy traffic --amount-factor 3 --crime-share 0.05
    """
    from simulator.live import TrafficPlan  # noqa: PLC0415
    from simulator.world import build_world  # noqa: PLC0415
    from understudy.traffic import send_traffic  # noqa: PLC0415

    plan = TrafficPlan(per_second=rate, label_delay_seconds=label_delay, count=count)
    world = build_world(seed_number, customers=customers)
    changes = {"crime_share": crime_share, "amount_factor": amount_factor}
    report = send_traffic(load_settings(), _console, world, plan, **changes)
    raise typer.Exit(1 if report.sent == 0 else 0)


@app.command()
def token(
    role: Annotated[Role, typer.Argument(help="Whose token; the API makes them all at start.")],
) -> None:
    """Print the token of a role, for use with curl.

    The trigger token is the password of the user `operator`; the others are Bearer tokens.

    **Examples**

        understudy token operator

        curl -u operator:$(understudy token trigger) -X POST $API/api/mlops/trigger-retraining

        curl -H "Authorization: Bearer $(understudy token operator)" $API/rollback_model ...
    """
    sys.stdout.write(read_token(load_settings().keys_dir, role) + "\n")


@app.command(name="rebuild-tiles")
def rebuild_tiles() -> None:
    """Count the merchant tiles again, after rows were written to the logs by hand.

    Everything that writes through this program keeps the tiles right by itself.

    **Examples**

        understudy rebuild-tiles
    """
    from shared.tables.tile_counts import rebuild_tiles as rebuild  # noqa: PLC0415

    with _database(load_settings()) as engine, engine.begin() as connection:
        _console.print(f"{rebuild(connection):,} tiles")


def main() -> None:
    """Run a command; an expected error is one line and exit status 2."""
    configure_logging("understudy")
    try:
        app()
    except UnderstudyError as error:
        _errors.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
