"""`understudy runs cancel`: end a run that is waiting or in progress."""

from typing import Annotated

import typer

from shared.errors import UnderstudyError
from shared.tables.leases import request_cancel
from shared.tables.runs import CANCELLABLE, RunStatus
from understudy.api_client import user_name
from understudy.commands.options import MaybeReason, Person
from understudy.commands.runs import NoSuchRun, runs
from understudy.settings import load_settings
from understudy.terminal import console, open_database
from understudy.trail import write_down


class TooLate(UnderstudyError):
    """Raised when a run is to be cancelled that is over."""


def register(_app: typer.Typer) -> None:
    """Add the command to `understudy runs`."""
    runs.command()(cancel)


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
