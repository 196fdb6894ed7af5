"""`understudy rehearse`: watch a bad version go live and be rolled back."""

import signal
import sys
from typing import Annotated, NoReturn

import typer

from understudy.terminal import console, errors

Scale = Annotated[
    float,
    typer.Option(
        min=0.05,
        max=1.0,
        help="Factor of every duration of the shipped alerts. 1: as long as in production.",
    ),
]

group = typer.Typer(
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
    app.add_typer(group, name="rehearse")


@group.command()
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


@group.command()
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
    rehearse(Fault(fault), scale, _print, with_alerts=with_alerts)


def _note(text: str) -> None:
    errors.print(text, soft_wrap=True)


def _print(text: str) -> None:
    console.print(text, soft_wrap=True)


def _end(_number: int, _frame: object) -> NoReturn:
    """Let the processes of the rehearsal end with it."""
    sys.exit(143)
