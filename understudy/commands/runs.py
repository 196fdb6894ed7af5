"""`understudy runs`: the runs, one of them, and the end of one that waits or is in progress."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from shared.errors import UnderstudyError
from shared.tables.leases import request_cancel
from shared.tables.runs import CANCELLABLE, Run, RunStatus, get_run, list_runs
from understudy.api_client import user_name
from understudy.commands.options import AsJson, MaybeReason, Person
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, open_database, second_of, styled, write_json
from understudy.trail import write_down

_COLOURS = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.RUNNING: "cyan",
    RunStatus.ON_TRIAL: "cyan",
    RunStatus.AWAITING: "cyan",
    RunStatus.FAILED: "red",
    RunStatus.REFUSED: "yellow",
}
runs = typer.Typer(no_args_is_help=False, rich_markup_mode="markdown")

_OPERATING = {
    "alert_volume": "alerts a day",
    "alert_precision": "precision",
    "alert_recall": "recall",
    "alert_money": "money a day",
    "alert_saved": "saved a day",
    "alert_missed": "missed a day",
}


class NoSuchRun(UnderstudyError):
    """Raised when a run is asked for that the table does not have."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(runs, name="runs")


@runs.callback(invoke_without_command=True)
def show_runs(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000, help="Number of runs, newest first.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Print the runs of the scheduler, newest first, from the table ModelTrainingRuns.

    NOT_DUE trained nothing because the champion is fresh, SUCCEEDED promoted a candidate,
    ON_TRIAL rolls one out beside the champion, REFUSED kept the champion because a gate or the
    rollout said so, FAILED could not finish; the last column says why.
    docs/operations/scheduler.md has what to do.

    **Examples**

        understudy runs

        understudy runs --limit 5 --json

        understudy runs show 12
    """
    if context.invoked_subcommand is not None:
        return
    with open_database(load_settings()) as engine:
        found = list_runs(engine, limit)
    if as_json:
        write_json([_plain(run) for run in found])
        return
    if not found:
        console.print("no runs yet; the scheduler asks for the first one when it starts")
        return
    console.print(_table(found))


@runs.command()
def show(
    run_id: Annotated[int, typer.Argument(help="The number in the first column of the list.")],
    as_json: AsJson = False,
) -> None:
    """Print one run: its steps, what each gate said, and the decision.

    **Examples**

        understudy runs show 12

        understudy runs show 12 --json
    """
    with open_database(load_settings()) as engine:
        run = get_run(engine, run_id)
    if run is None:
        raise NoSuchRun(f"there is no run {run_id}; `understudy runs` lists them")
    if as_json:
        write_json(_plain(run))
        return
    console.print(_table([run]))
    if run.steps:
        console.print(_steps_table(run.steps))
    _print_facts(run)
    operating = _operating_table(run.metrics)
    if operating is not None:
        console.print("\nalerts at the served thresholds, on the held-out rows")
        console.print(operating)


def _steps_table(steps: Any) -> DataTable:
    """A row a step: its start, duration and result; `running`: in progress."""
    table = DataTable("step", "began", "seconds", "rows", "result", box=None, pad_edge=False)
    for column in table.columns[2:4]:
        column.justify = "right"
    for step in steps:
        seconds, rows = step.get("duration_seconds"), step.get("rows")
        table.add_row(
            str(step.get("step", "")),
            second_of(step.get("started_at")),
            "" if seconds is None else f"{seconds:,.1f}",
            "" if rows is None else f"{rows:,}",
            str(step.get("result", "")),
        )
    return table


def _print_facts(run: Run) -> None:
    """Print who forced the run, the instant it was trained as of, and the verdict of each gate."""
    if run.forced_by is not None:
        console.print(f"forced by {run.forced_by}: {run.forced_reason}", soft_wrap=True)
    for step in run.steps or ():
        if step.get("as_of"):
            console.print(f"trained on what was known as of {step['as_of'][:19]}Z (TRAIN_AS_OF)")
    for verdict in run.verdicts or ():
        console.print(
            f"{verdict['gate']:>16}  {verdict['outcome']:<12} {verdict['reason']}", highlight=False
        )


def _operating_table(metrics: Any) -> DataTable | None:
    """Both models' alerts; None where the run did not get as far, or is an older one."""
    figures = metrics if isinstance(metrics, dict) else {}
    champion, candidate = (figures.get(role) or {} for role in ("champion", "candidate"))
    if "alert_volume" not in candidate:
        return None
    table = DataTable(box=None, pad_edge=False)
    for name in ("", "champion", "candidate", "candidate, 95 %"):
        table.add_column(name, justify="right" if name else "left")
    for name, said in _OPERATING.items():
        bounds = (figures.get("intervals") or {}).get(name)
        between = "" if bounds is None else f"{_figure(bounds[0])} to {_figure(bounds[1])}"
        table.add_row(said, _figure(champion.get(name)), _figure(candidate.get(name)), between)
    return table


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:,.1f}"


def _table(found: list[Run]) -> DataTable:
    table = DataTable(box=None, pad_edge=False)
    for name in ("run", "job", "due", "status", "version"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    for run in found:
        colour = _COLOURS.get(run.status, "default")
        table.add_row(
            str(run.run_id),
            run.job,
            second_of(run.scheduled_for),
            styled(run.status, colour),
            run.model_version or "",
            _why(run),
        )
    return table


def _why(run: Run) -> str:
    return ": ".join(filter(None, (run.code, run.message)))


def _plain(run: Run) -> dict[str, Any]:
    return asdict(run)


class TooLate(UnderstudyError):
    """Raised when a run is to be cancelled that is over."""


@runs.command()
def cancel(
    run_id: Annotated[int, typer.Argument(help="The number in the first column of the list.")],
    reason: MaybeReason = None,
    person: Person = None,
) -> None:
    """End a run: one that waits at once, one in progress within some ten seconds.

    It ends as SKIPPED with the code `cancelled`, and the model that serves stays. A run whose
    bundle is on its way to the API is past that: it ends as it ends, and `understudy runs
    show` tells how. The next due instant is not affected; `understudy schedule
    pause` stops those. Who and why go into the audit trail.

    **Examples**

        understudy runs cancel 12

        understudy runs cancel 12 --reason "the disk is needed" --as "the on-call of tonight"
    """
    settings, who = load_settings(), person or user_name()
    with open_database(settings) as engine:
        before = request_cancel(engine, run_id, who[:64])
        if before in CANCELLABLE:
            write_down(settings, engine, "run-cancelled", who, reason, run_id=run_id)
    if before is None:
        raise NoSuchRun(f"there is no run {run_id}; `understudy runs` lists them")
    if before is RunStatus.RUNNING:
        console.print(f"run {run_id} is in progress and will end within seconds", highlight=False)
    elif before in CANCELLABLE:
        console.print(f"run {run_id} is cancelled", highlight=False)
    else:
        raise TooLate(f"run {run_id} is over: {before}")
