"""Options that several commands share."""

from typing import Annotated

import typer

SeedNumber = Annotated[
    int, typer.Option("--seed", min=0, help="Random seed: the same number gives the same rows.")
]
Customers = Annotated[int, typer.Option(help="Number of simulated customers.", min=10)]
Days = Annotated[int, typer.Option(help="How many days of history, up to now.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
Person = Annotated[
    str | None,
    typer.Option(
        "--as",
        envvar="UNDERSTUDY_PERSON",
        help="Your name, for the audit trail.",
        show_default="your user name",
    ),
]
MaybeReason = Annotated[
    str | None, typer.Option("--reason", help="Why, for the audit trail.", show_default="none")
]
Reason = Annotated[str, typer.Option(help="Why; kept with the change.", show_default=False)]
