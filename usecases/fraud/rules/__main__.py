"""`python -m usecases.NAME.rules check FILE` and `... variables`, for those who write rules."""

from pathlib import Path
from typing import Annotated

import typer

from ..features.catalogue import FEATURE_SET
from .rulefile import RuleFileError
from .ruleset import load_rules
from .variables import variable_table

app = typer.Typer(help="Check rule files and list what rules may use.", no_args_is_help=True)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A rule file (TOML).")]) -> None:
    """Compile and type-check every rule; exit status 1 names the first fault."""
    try:
        rules = load_rules(file, variable_table(FEATURE_SET))
    except RuleFileError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{file}: version {rules.version}, {len(rules.rules)} rules, all sound")


@app.command()
def variables() -> None:
    """Print the table of variables as Markdown (docs/rules.md holds a copy)."""
    typer.echo("| variable | type | meaning |\n|---|---|---|")
    for variable in variable_table(FEATURE_SET).values():
        typer.echo(f"| `{variable.name}` | {variable.type} | {variable.meaning} |")


if __name__ == "__main__":
    app()
