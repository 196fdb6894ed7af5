"""The commands, their options and their help; the work is in the other modules."""

import sys
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
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_console = Console()
_errors = Console(stderr=True)

SeedNumber = Annotated[int, typer.Option("--seed", help="The same number makes the same world.")]
Customers = Annotated[int, typer.Option(help="How many customers live in the world.", min=1)]
Days = Annotated[int, typer.Option(help="How many days of history, up to now.", min=1)]


def _database(settings: Settings) -> Engine:
    engine = connect(settings.database_url.get_secret_value())
    migrate(engine)
    return engine


@app.command()
def run() -> None:
    """Start both services, after filling an empty database (SEED_EMPTY_DATABASE=false: not).

    Stops with Ctrl-C. The API listens on http://127.0.0.1:8000 (API_HOST, API_PORT), logs go
    to var/logs (LOGS_DIR), the data lies in var/understudy.db (DATABASE_URL).
    """
    from understudy.run import run_services  # noqa: PLC0415 - each command imports its own
    from understudy.seed import seed_if_empty  # noqa: PLC0415

    settings = load_settings()
    if settings.seed_empty_database:
        seed_if_empty(_database(settings), customers=1_000, days=180, seed_number=7)
    raise typer.Exit(run_services(settings, _console))


@app.command()
def seed(customers: Customers = 1_000, days: Days = 180, seed_number: SeedNumber = 7) -> None:
    """Fill an empty database with a simulated past; does nothing when there is data.

    Example: understudy seed --customers 200 --days 90
    """
    from understudy.seed import seed_if_empty  # noqa: PLC0415

    settings = load_settings()
    if not settings.seed_empty_database:
        _console.print("SEED_EMPTY_DATABASE is off; nothing to do")
        return
    seed_if_empty(_database(settings), customers=customers, days=days, seed_number=seed_number)


@app.command()
def token(
    role: Annotated[Role, typer.Argument(help="Whose token; the API makes them all at start.")],
) -> None:
    """Print the token of a role, for use with curl.

    Example: curl -X POST -H "Authorization: Bearer $(understudy token operator)" ...
    The trigger token is a Basic password: curl -u operator:$(understudy token trigger) ...
    """
    sys.stdout.write(read_token(load_settings().keys_dir, role) + "\n")


def main() -> None:
    """Run a command; an expected error is one line and exit status 2."""
    configure_logging("understudy")
    try:
        app()
    except UnderstudyError as error:
        _errors.print(f"[red]error:[/red] {error}", highlight=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
