"""`understudy policy check` and `understudy replay`: a policy, and a past in which it decides."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import usecases
from shared.setting_docs import described
from shared.usecase.policy import PromotionPolicy
from understudy.commands.options import AsJson
from understudy.settings import load_settings
from understudy.terminal import DataTable, console
from usecases.settings import UseCaseSettings

policy_app = typer.Typer(
    help="Check the policy of a use case: what a candidate has to show.\n\n**Examples**\n\n"
    "    understudy policy check\n\n    understudy policy check --use-case churn",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(policy_app, name="policy")
    app.command()(replay)


@policy_app.callback()
def policy() -> None:
    """Keep `check` a command of its own."""


@policy_app.command()
def check(
    use_case: Annotated[
        str | None,
        typer.Option(help=described(UseCaseSettings, "use_case"), show_default="USE_CASE"),
    ] = None,
) -> None:
    """Read the policy as the scheduler does and print what it asks of candidates.

    Every setting that is missing, unknown or out of range is named with its remedy. The
    scheduler reads the file when it starts.

    **Exit status**: 0 it can be used, 2 it cannot.

    **Examples**

        understudy policy check

        understudy policy check --use-case churn
    """
    name = use_case or load_settings().use_case
    found = usecases.checked_policy(name)
    table = DataTable("setting", "value", title=f"the policy of {name} can be used")
    for setting, value in _told(found).items():
        table.add_row(setting, value)
    console.print(table)


def _told(found: PromotionPolicy) -> dict[str, str]:
    floors = ", ".join(f"{name} {value:g}" for name, value in found.first_model_min.items())
    guards = ", ".join(f"{name} {value}" for name, value in found.guard_metrics.items())
    operating = ", ".join(f"{name} {value}" for name, value in found.operating_guards.items())
    return {
        "name": found.name,
        "primary metric": found.primary_metric,
        "margin": str(found.margin),
        "new recipe": str(found.new_recipe),
        "refresh": str(found.refresh),
        "rounds a year": f"{found.rounds_per_year:,}",
        "errors a year": f"{found.yearly_alpha:g}",
        "support needed": f"{found.min_positives:,}",
        "champion's greatest age": f"{found.champion_max_age_days:g} days",
        "first model": floors or "has to beat the best constant answer",
        "guard metrics": guards or "none",
        "operating guards": operating or "none",
    }


class Protocol(StrEnum):
    """The protocol that splits rows into training and held-out rows."""

    POLICY = "policy"
    HANDBOOK = "handbook"


def replay(  # noqa: PLR0917 - typer makes options of them
    begin: Annotated[
        str, typer.Option("--from", help="First day, or instant, on which a round may be due.")
    ],
    end: Annotated[
        str | None, typer.Option("--to", help="Last one. Default: the newest row.")
    ] = None,
    every: Annotated[
        str, typer.Option(help="1D, 1W, P1DT12H, a cron expression, 'weekly sunday 03:00' ...")
    ] = "1W",
    metric: Annotated[
        str | None,
        typer.Option(
            help="What the policies are compared by; all are in the CSV. Default: average "
            "precision; of another task than a binary one the metric that decides.",
        ),
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="policy: rows are split as in production. handbook: a week to learn, a week "
            "of delay, a week to be judged, as in the Fraud Detection Handbook."
        ),
    ] = Protocol.POLICY,
    work: Annotated[
        Path, typer.Option(help="Where rounds, candidates and reports are kept.")
    ] = Path("var/replay"),
    pages: Annotated[
        bool, typer.Option("--pages", help="Also write every candidate's own report.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the real cycle over stored history with a simulated clock.

    At each due instant it sees what was known then: takes the snapshot, checks the data,
    trains, packages, compares and decides, like the scheduler does. Then it examines what came
    afterwards, and how three policies would have done there by labels that became known later:
    the first model kept throughout, every candidate promoted, and this gate.

    DATABASE_URL is only read. Nothing touches the API, the registry, the runs or the schedule:
    everything is written below the work folder, and a registry in memory stands for the API.
    It prints a table and writes replay.csv and replay.html (one file, with plots).

    Stop it whenever you like, the same command goes on with the first unfinished round. A round
    is played again when its history, the code, the policy or an option has changed.

    **Examples**

        understudy replay --from 2026-01-01 --to 2026-04-01 --every 1W

        understudy replay --from 2026-01-01 --every "weekly sunday 03:00" --metric auc

        understudy replay --from 2018-08-22 --to 2018-09-12 --protocol handbook

        DATABASE_URL=sqlite:///var/other.db understudy replay --from 2026-01-01 --json
    """
    from understudy.replay import ReplayOptions, replay_history  # noqa: PLC0415

    request = ReplayOptions(
        begin=begin,
        end=end,
        every=every,
        metric=metric or "",
        is_handbook=protocol is Protocol.HANDBOOK,
        work=work,
        pages=pages,
        as_json=as_json,
    )
    raise typer.Exit(replay_history(request))
