"""`understudy run`, and the history and traffic of the synthetic world."""

import os
from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

import usecases
from shared.errors import SettingsError
from shared.setting_docs import described
from understudy.commands.options import Customers, Days, SeedNumber
from understudy.settings import CommandSettings, load_settings
from understudy.terminal import console, make_database
from usecases.settings import UseCaseSettings

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=64, help=described(CommandSettings, "api_workers"), show_default="API_WORKERS"
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(run)
    app.command()(seed)
    app.command()(traffic)


AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Train on what was known then, for data that ended long ago: end-of-data (the newest "
        "row), a day, or an instant with a zone. Default: TRAIN_AS_OF, now.",
    ),
]


UseCase = Annotated[
    str | None,
    typer.Option("--use-case", help=described(UseCaseSettings, "use_case"),
                 show_default="USE_CASE"),
]  # fmt: skip


def run(workers: Workers = None, as_of: AsOf = None, use_case: UseCase = None) -> None:
    """Start both services and the console; an empty database of transactions is filled first.

    A declared use case imports its source, and its data are kept in var/NAME (VAR_DIR).

    The scheduler trains the first model, examines it and pushes it; the API serves it about a
    minute later. Ctrl-C stops all. The API listens on API_HOST:API_PORT (127.0.0.1:8000), the
    console on CONSOLE_HOST:CONSOLE_PORT (127.0.0.1:8001); the services go on without it. Logs are
    written to LOGS_DIR (var/logs), and the database is DATABASE_URL
    (sqlite:///var/understudy.db). SEED_EMPTY_DATABASE=false leaves an empty database empty.
    `python -m api.main --help` and `python -m scheduler.main --help` list every setting.

    **Exit status**: 0 stopped by Ctrl-C, 1 a service ended by itself, 2 nothing was started.

    **Examples**

        understudy run

        API_PORT=9000 understudy run --workers 2

        understudy run --use-case churn

        SEED_EMPTY_DATABASE=false understudy run --as-of end-of-data

        DATABASE_URL=postgresql://me:secret@localhost/understudy understudy run
    """
    from understudy.run import run_services  # noqa: PLC0415 - each command imports its own
    from understudy.simulation import seed_if_empty  # noqa: PLC0415

    if use_case is not None:
        # both services are child processes, which inherit it
        os.environ["USE_CASE"] = use_case
    settings = load_settings()
    usecases.check_learning(settings.use_case)
    _check_ports(settings)
    folder = usecases.declared_folder(settings.use_case)
    declared = None if as_of is None else _declared(as_of)
    with make_database(settings) as engine:
        if folder is not None:
            _import_source(engine, folder)
        elif settings.seed_empty_database and usecases.is_simulated(settings.use_case):
            # enough rows for every gate, and trained in half the time of a thousand customers
            seed_if_empty(engine, customers=500, days=150, seed_number=7)
    raise typer.Exit(run_services(settings, console, workers, declared))


def _check_ports(settings: CommandSettings) -> None:
    """Raises SettingsError where two processes would listen on one port of this machine."""
    from scheduler.settings import load_settings as scheduler_settings  # noqa: PLC0415

    ports = {
        "API_PORT": settings.api_port,
        "CONSOLE_PORT": settings.console_port,
        "METRICS_PORT": scheduler_settings().metrics_port,
    }
    for (one, port), (other, same) in combinations(ports.items(), 2):
        if port and port == same:
            raise SettingsError(f"{one} and {other} are both {port}: set one of them to another")


def _import_source(engine: Engine, folder: Path) -> None:
    from understudy.importing_declared import import_declared  # noqa: PLC0415

    import_declared(engine, folder, [], console)


def _declared(as_of: str) -> str:
    from scheduler.cycle.as_of import parse_as_of  # noqa: PLC0415

    try:
        return parse_as_of(as_of)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--as-of") from error


def seed(customers: Customers = 1_000, days: Days = 180, seed_number: SeedNumber = 7) -> None:
    """Fill an empty database with a synthetic past; one that has rows is not changed.

    **Examples**

        understudy seed

        understudy seed --customers 200 --days 90

        DATABASE_URL=sqlite:///var/other.db understudy seed --seed 8
    """
    from understudy.simulation import seed_if_empty  # noqa: PLC0415

    settings = load_settings()
    if not usecases.is_simulated(settings.use_case):
        console.print(f"{settings.use_case} has no simulated past; import rows of your own")
        return
    if not settings.seed_empty_database:
        console.print("SEED_EMPTY_DATABASE is off; nothing to do")
        return
    with make_database(settings) as engine:
        seed_if_empty(engine, customers=customers, days=days, seed_number=seed_number)


def traffic(  # noqa: PLR0917 - typer makes options of them
    rate: Annotated[float, typer.Option(min=0.01, max=1_000, help="Rows a second.")] = 2.0,
    crime_share: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of rows that are fraud.")
    ] = 0.01,
    label_delay: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds until a label is sent to /feedback.",
            show_default="when it is known by the simulated clock",
        ),
    ] = None,
    amount_factor: Annotated[
        float, typer.Option(min=0.01, help="Drift: amounts are this many times as high.")
    ] = 1.0,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many rows.")] = None,
    customers: Annotated[
        int, typer.Option(min=10, max=10_000, help="Number of new customers.")
    ] = 100,
    days: Annotated[
        int, typer.Option(min=1, max=60, help="Days ago that the simulated clock begins.")
    ] = 30,
    seed_number: SeedNumber = 7,
) -> None:
    """Send traffic of new customers at their own pace, and the labels when they become known.

    It needs a running API with a model (API_URL). A simulated clock begins some days ago and runs
    as fast as the rows are sent, until it has come to the present; from there on rows come when
    they happen. First the API gets two months of the customers' past, in batches.
    So the share that is flagged is near that of the rows the model was trained on. Ctrl-C stops
    it; labels that are known by then are delivered before it ends.

    **Exit status**: 0 rows were sent, 1 no row could be sent.

    **Examples**

        understudy traffic

        understudy traffic --rate 20 --count 1000 --label-delay 5

        understudy traffic --amount-factor 3 --crime-share 0.05
    """
    from simulator.live import TrafficPlan  # noqa: PLC0415
    from understudy.simulation import NewCustomers, send_traffic  # noqa: PLC0415

    plan = TrafficPlan(per_second=rate, label_delay_seconds=label_delay, count=count)
    who = NewCustomers(seed_number, customers, days, crime_share, amount_factor)
    report = send_traffic(load_settings(), console, who, plan)
    raise typer.Exit(1 if report.sent == 0 else 0)
