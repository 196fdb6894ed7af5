"""`understudy demo` and `understudy rehearse`: the life of a model, with services of its own."""

import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from understudy.terminal import console, errors

SECONDS_PER_DAY = 4.0

Scale = Annotated[
    float,
    typer.Option(
        min=0.05,
        max=1.0,
        help="Factor of every duration of the shipped alerts. 1: as long as in production.",
    ),
]
rehearsals = typer.Typer(
    no_args_is_help=True,
    help="Watch a bad version go live and be rolled back. Nothing of yours is touched: a service "
    "of its own, in a temporary folder and on free ports, ends with the command.\n\n"
    "**Examples**\n\n"
    "    understudy rehearse slow-model\n\n"
    "    understudy rehearse failing-model\n",
    rich_markup_mode="markdown",
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(demo)
    app.add_typer(rehearsals, name="rehearse")


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


@rehearsals.command()
def slow_model(scale: Scale = 0.1) -> None:
    """A version that is slow in service; an alert rolls it back.

    A good version serves rows. Then one is pushed that passes every check and multiplies large
    matrices for every row. Prometheus evaluates the shipped rules: the alert `NewModelSlow`
    compares it with the version before on the same rows, Alertmanager posts it to `/alert`, and
    the service rolls back. Then the same notification comes again, and one about another
    version: neither changes anything, and people are told of both.

    Needs `prometheus` and `alertmanager` on the path. Without them the service's own circuit
    breaker is shown, which rolls back a version that exceeds SCORING_BUDGET_SECONDS a row (here
    10 ms).

    **Exit status**: 0 it was rolled back, 2 it was not, or the service did not start.

    **Examples**

        understudy rehearse slow-model

        understudy rehearse slow-model --scale 1
    """
    _rehearse("slow-model", scale)


@rehearsals.command()
def failing_model(scale: Scale = 0.1) -> None:
    """A version that answers NaN for some rows; the circuit breaker rolls it back.

    The fallback answers those rows, so that callers notice nothing; after BREAKER_FAILURES of
    them the service rolls back by itself, long before an alert could fire. With Prometheus and
    Alertmanager on the path you also see how people are told which version was left, and why.

    **Exit status**: 0 it was rolled back, 2 it was not, or the service did not start.

    **Examples**

        understudy rehearse failing-model
    """
    _rehearse("failing-model", scale)


def _rehearse(fault: str, scale: float) -> None:
    from understudy.rehearsal.monitoring import MONITORING, missing_programs  # noqa: PLC0415
    from understudy.rehearsal.story import Fault, rehearse  # noqa: PLC0415 - imports ONNX

    signal.signal(signal.SIGTERM, _end)
    missing = missing_programs()
    if missing:
        _note(
            f"{' and '.join(missing)} not installed, so this goes without alerts (Debian, Ubuntu: "
            "apt-get install prometheus prometheus-alertmanager; else prometheus.io/download)"
        )
    elif not MONITORING.is_dir():
        _note("monitoring/ is not here, so this goes without alerts: a clone of the project has it")
    with_alerts = not missing and MONITORING.is_dir()
    rehearse(Fault(fault), scale, _say, with_alerts=with_alerts)


def _note(text: str) -> None:
    errors.print(text, soft_wrap=True)


def _end(_number: int, _frame: object) -> NoReturn:
    """Let the processes of the rehearsal end with it."""
    sys.exit(143)
