"""`understudy schedule`: when models are retrained, and stopping that for a while."""

from typing import Annotated, Any

import typer

from shared.clock import MICROS_PER_SECOND, SystemClock, isoformat
from shared.errors import UnderstudyError
from shared.intervals import Interval
from shared.tables.config import change_retraining, read_retraining_config
from shared.tables.job_schedules import JobSchedule, read_schedules
from understudy.api_client import user_name
from understudy.commands.options import AsJson, MaybeReason, Person
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, open_database, second_of, write_json
from understudy.trail import write_down

# A scheduler records every ten seconds that it checked the schedule.
_UNATTENDED_SECONDS = 60
# The length of the column in RetrainingConfig.
_LONGEST = 64
schedule_app = typer.Typer(no_args_is_help=False, rich_markup_mode="markdown")


class NoSchedule(UnderstudyError):
    """Raised when a text is not an interval; says which forms there are."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(schedule_app, name="schedule")


@schedule_app.callback(invoke_without_command=True)
def show_schedule(context: typer.Context, as_json: AsJson = False) -> None:
    """Show when models are retrained; `set`, `pause` and `resume` change it within 10 s.

    Who changed it and why go into the audit trail. These are Interval and IsEnabled of the table
    RetrainingConfig, which may also be changed by SQL. docs/operations/scheduler.md
    has the forms of an interval.

    **Examples**

        understudy schedule

        understudy schedule set "weekly sunday 03:00"

        understudy schedule pause
    """
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


@schedule_app.command()
def show(as_json: AsJson = False) -> None:
    """Show every job, its interval and its next due instant.

    **Examples**

        understudy schedule show

        understudy schedule show --json
    """
    _show(as_json=as_json)


@schedule_app.command(name="set")
def set_(
    interval: Annotated[
        str,
        typer.Argument(
            help="1D, 1W, P1DT12H, a cron expression, 'weekly sunday 03:00' ...", show_default=False
        ),
    ],
    reason: MaybeReason = None,
    person: Person = None,
) -> None:
    """Retrain at another interval; whether it is paused stays as it is.

    **Exit status**: 0 set, 2 the text is not an interval and nothing was changed.

    **Examples**

        understudy schedule set 1W

        understudy schedule set "0 3 * * 0" --reason "labels come on Saturday" --as anna
    """  # fmt: skip
    try:
        text = Interval.parse(interval).text
    except ValueError as error:
        raise NoSchedule(str(error)) from error
    if len(text) > _LONGEST:
        raise NoSchedule(f"{text[:40]!r} ... is longer than {_LONGEST} characters")
    _change(reason, person, interval=text)


@schedule_app.command()
def pause(reason: MaybeReason = None, person: Person = None) -> None:
    """Let no due instant start a run until `resume`; `understudy retrain` still does.

    A run in progress goes on: `understudy runs cancel N` ends it.

    **Examples**

        understudy schedule pause --reason "the warehouse is being moved"
    """
    _change(reason, person, is_enabled=False)


@schedule_app.command()
def resume(reason: MaybeReason = None, person: Person = None) -> None:
    """Retrain at the due instants again; those of the pause are not made up for.

    **Examples**

        understudy schedule resume
    """
    _change(reason, person, is_enabled=True)


def _change(
    reason: str | None,
    person: str | None,
    *,
    interval: str | None = None,
    is_enabled: bool | None = None,
) -> None:
    settings = load_settings()
    with open_database(settings) as engine:
        change_retraining(engine, interval=interval, is_enabled=is_enabled)
        config = read_retraining_config(engine)
        now = {"interval": config.interval, "is_enabled": config.is_enabled}
        write_down(settings, engine, "schedule", person or user_name(), reason, **now)
    state = "in force within 10 s" if config.is_enabled else "paused until `schedule resume`"
    console.print(f"retraining: {config.interval}, {state}")


def _show(*, as_json: bool) -> None:
    with open_database(load_settings()) as engine:
        config = read_retraining_config(engine)
        jobs = read_schedules(engine)
    now_us = SystemClock().now_us()
    if as_json:
        told = {"interval": config.interval, "is_enabled": config.is_enabled}
        write_json({"configured": told, "jobs": [_plain(job) for job in jobs]})
        return
    state = "enabled" if config.is_enabled else "paused; `understudy schedule resume` ends that"
    console.print(f"retraining is set to {config.interval} ({state})", soft_wrap=True)
    if not jobs:
        console.print("no scheduler has read it yet; `understudy run` starts one")
        return
    table = DataTable(box=None, pad_edge=False)
    for name in ("job", "interval in force", "next due", "scheduler looked"):
        table.add_column(name, no_wrap=name in {"next due", "scheduler looked"})
    for job in jobs:
        due = second_of(_text(job.next_due_us)) if job.is_enabled else job.disabled_word
        table.add_row(job.job, job.interval, due, second_of(isoformat(job.checked_at_us)))
    console.print(table)
    for line in _problems(jobs, now_us):
        console.print(line, style="yellow", soft_wrap=True)


def _problems(jobs: list[JobSchedule], now_us: int) -> list[str]:
    lines = [f"{job.job}: {job.problem}" for job in jobs if job.problem]
    newest_us = max(job.checked_at_us for job in jobs)
    if now_us - newest_us > _UNATTENDED_SECONDS * MICROS_PER_SECOND:
        lines.append("no scheduler has looked since: nothing will start until one runs")
    return lines


def _plain(job: JobSchedule) -> dict[str, Any]:
    return {
        "job": job.job,
        "interval": job.interval,
        "is_enabled": job.is_enabled,
        "next_due": _text(job.next_due_us),
        "checked_at": isoformat(job.checked_at_us),
        "problem": job.problem,
    }


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else isoformat(instant_us)
