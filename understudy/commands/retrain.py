"""`understudy retrain`: ask for a run now, and wait for its end where that is wanted."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from shared.contracts.runs import ForcedRunRequest, RunRequested, RunView
from shared.errors import UnderstudyError
from shared.keys.tokens import Role
from shared.tables.runs import UNFINISHED, RunStatus
from understudy.api_client import ApiNotThere, change_api, read_api, user_name
from understudy.commands.options import Person
from understudy.commands.serving import checked
from understudy.settings import CommandSettings, load_settings
from understudy.terminal import console, errors

PROMOTED, FAILED, KEPT = 0, 1, 3
_POLL_SECONDS = 1.0
# Time to wait for an API that restarts during a run.
_AWAY_SECONDS = 60.0


class StillRunning(UnderstudyError):
    """Raised when a run has not ended within the time that was given."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(retrain)


def retrain(
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run has ended.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Seconds to wait at most; the run goes on after that.",
            show_default="no limit",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Train also while the champion is fresh; the gates decide as always."
        ),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(help="Why it is forced; kept with the run and in the audit trail."),
    ] = None,
    person: Person = None,
) -> None:
    """Ask the scheduler for a training run now, as POST /api/mlops/trigger-retraining does.

    The run begins within seconds if none is in progress; the gates decide about promotion as
    always. `understudy runs cancel N` ends it.

    While the champion is fresh (younger than the policy's champion_max_age_days, no drift, the
    same recipe) the run ends at once as NOT_DUE, and nothing is trained. --force trains all the
    same, and judges as if the champion were due; it needs a --reason, and who forced it is kept.

    **Exit status**: 0 requested, or with --wait promoted (SUCCEEDED); 1 FAILED; 2 an error, or
    it has not ended within --timeout; 3 the champion stays (REFUSED, NOT_DUE, SKIPPED,
    MISSED), or the candidate is on trial beside it (ON_TRIAL; `understudy rollout` shows it).

    **Examples**

        understudy retrain

        understudy retrain --wait

        understudy retrain --wait --timeout 3600 && echo promoted

        understudy retrain --force --reason "the shop in Graz has opened" --wait
    """  # fmt: skip
    settings = load_settings()
    who = person or user_name()
    asked = _forced(settings, reason, who) if force else _triggered(settings, who)
    console.print(f"run {asked.run_id} is requested")
    if not wait:
        console.print(f"see `understudy runs show {asked.run_id}`")
        return
    path = f"/api/mlops/runs/{asked.run_id}"
    run = wait_for_end(lambda: read_api(settings, path, RunView), _say, timeout)
    console.print(": ".join(filter(None, (run.status, run.code, run.message))), soft_wrap=True)
    raise typer.Exit(exit_status(run.status))


def _triggered(settings: CommandSettings, person: str) -> RunRequested:
    path = "/api/mlops/trigger-retraining"
    return change_api(settings, path, Role.TRIGGER, None, RunRequested, person=person)


def _forced(settings: CommandSettings, reason: str | None, person: str) -> RunRequested:
    if reason is None:
        raise typer.BadParameter("say why: --force needs --reason TEXT", param_hint="--reason")
    body, path = checked(ForcedRunRequest, reason=reason), "/api/mlops/force-retraining"
    return change_api(settings, path, Role.OPERATOR, body, RunRequested, person=person)


def exit_status(status: RunStatus) -> int:
    """The exit status of the command after a run with this status."""
    known = {RunStatus.SUCCEEDED: PROMOTED, RunStatus.FAILED: FAILED}
    return known.get(status, KEPT)


def wait_for_end(
    read: Callable[[], RunView],
    say: Callable[[str], None],
    timeout_seconds: float | None,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> RunView:
    """The run when it has ended; says on the way what it does.

    Raises:
        StillRunning: it has not ended in time.
        ApiNotThere: the API has not answered for a minute.
    """
    began = answered = clock()
    told, run_id = "", 0
    while True:
        try:
            run = read()
        except ApiNotThere:
            if clock() - answered > _AWAY_SECONDS:
                raise
        else:
            answered, run_id = clock(), run.run_id
            if run.status not in UNFINISHED:
                return run
            now = _progress(run)
            if now != told:
                told = now
                say(now)
        if timeout_seconds is not None and clock() - began > timeout_seconds:
            raise StillRunning(
                f"run {run_id} has not ended after {timeout_seconds:g} s and goes on; see "
                f"`understudy runs show {run_id}`"
            )
        pause(_POLL_SECONDS)


def _progress(run: RunView) -> str:
    if run.status is RunStatus.REQUESTED:
        return "waits for the scheduler"
    steps = run.steps if isinstance(run.steps, list) else []
    shown = [step for step in steps if isinstance(step, dict) and "step" in step]
    if not shown:
        return "in progress"
    last = shown[-1]
    is_running = last.get("result") == "running"
    return f"in progress: {last['step']}" + ("" if is_running else " is done")


def _say(line: str) -> None:
    errors.print(line, style="dim", soft_wrap=True)
