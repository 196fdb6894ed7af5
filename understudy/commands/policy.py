"""`understudy policy check`: whether a use case's policy can be used, before a run finds out."""

from typing import Annotated

import typer

import usecases
from shared.setting_docs import described
from shared.usecase.policy import PromotionPolicy
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
