"""`understudy replay`: what a schedule and its gate would have done with the history there is."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from understudy.commands.options import AsJson


class Protocol(StrEnum):
    """The protocol that splits rows into training and held-out rows."""

    POLICY = "policy"
    HANDBOOK = "handbook"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(replay)


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
