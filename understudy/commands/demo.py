"""`understudy demo`: the whole life of a model, played by real services in ten minutes."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from understudy.terminal import console

SECONDS_PER_DAY = 4.0


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(demo)


def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as the machine allows; for tests.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep database, models, reports and logs.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir", help="An empty or new folder for it all.", show_default="a temporary one"
        ),
    ] = None,
) -> None:
    """Play the life of a model in ten minutes, and end by itself.

    Traffic, drift, alarm, retraining, canary, promotion, a bad candidate refused, a slow model
    rolled back: API and scheduler are real processes on free ports and in a folder of their
    own, with the gates, rollouts and breakers of production. If something does not happen, it
    ends with an error. Customers pay at their own pace on a
    simulated clock. Each line tells what happens; the commands it names work in another
    terminal meanwhile. Nothing is left behind unless --keep says so.

    **Examples**

        understudy demo

        understudy demo --fast

        understudy demo --keep --dir var/demo
    """
    from understudy.demo.acts import play  # noqa: PLC0415 - each command imports its own

    place = _place(folder)
    try:
        play(place, _say, seconds_per_day=0.0 if fast else SECONDS_PER_DAY)
    finally:
        if keep:
            console.print(f"everything is kept in {place}", soft_wrap=True)
        else:
            shutil.rmtree(place, ignore_errors=True)


def _place(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="understudy-demo-"))
    if folder.exists() and any(folder.iterdir()):
        raise typer.BadParameter(f"{folder} is not empty", param_hint="--dir")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _say(line: str) -> None:
    console.print(line, soft_wrap=True)
