"""`understudy rollout`: the rollout that is under way, its looks, and the steps by a person."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from shared.contracts.models import CurrentModel
from shared.contracts.rollouts import (
    SHARES,
    Action,
    ArmStatistics,
    EndedView,
    Mode,
    RolloutChanged,
    RolloutRequest,
    RolloutView,
)
from shared.errors import UnderstudyError
from shared.keys.tokens import Role
from understudy.api_client import change_api, read_api, user_name
from understudy.commands.options import AsJson, Person, Reason
from understudy.commands.serving import checked
from understudy.settings import CommandSettings, load_settings
from understudy.terminal import DataTable, console, second_of, write_json

_LOOKS_FILE = "rollout.jsonl"
_LOOKS_SHOWN = 10
rollout_app = typer.Typer(no_args_is_help=False, rich_markup_mode="markdown")


@dataclass(frozen=True, slots=True)
class ShownLook:
    """One look that was written down: a step, or the first of each kind of waiting."""

    at: str
    share_percent: int
    step: str
    code: str
    reason: str

    def __str__(self) -> str:
        share = f"{self.share_percent} %" if self.share_percent else "shadow"
        return f"{second_of(self.at)}  {share}  {self.step}, {self.code}: {self.reason}"


def read_looks(folder: Path, version: str) -> list[ShownLook]:
    """Looks in their order; empty if the scheduler's candidates are not on this machine."""
    try:
        lines = (folder / version / _LOOKS_FILE).read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            said = json.loads(line)
            look = ShownLook(
                at=str(said["at"]),
                share_percent=int(said["look"]["share_percent"]),
                step=str(said["step"]),
                code=str(said["code"]),
                reason=str(said["reason"]),
            )
        except (ValueError, KeyError, TypeError):
            continue
        found.append(look)
    return found


class NothingOnTrial(UnderstudyError):
    """Raised when a rollout is to be changed and none is on."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(rollout_app, name="rollout")


@rollout_app.callback(invoke_without_command=True)
def show_rollout(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the version on trial beside the live one; `advance`, `promote` or `abort` it.

    The scheduler moves a rollout on by itself where its statistics allow it
    (docs/operations/rollout.md). These commands are for a person who knows better.

    **Examples**

        understudy rollout

        understudy rollout show --json

        understudy rollout advance --reason "no sign of harm at 5 %"

        understudy rollout abort --reason "complaints of the shop in Graz"
    """
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


@rollout_app.command()
def show(as_json: AsJson = False) -> None:
    """Show the rollout that is on and the last one that ended.

    **Examples**

        understudy rollout show
    """
    _show(as_json=as_json)


@rollout_app.command()
def advance(
    reason: Reason,
    share: Annotated[
        int | None,
        typer.Option(
            help=f"Percent of users: {', '.join(map(str, SHARES))}, and more than now.",
            show_default="the next one",
        ),
    ] = None,
    person: Person = None,
) -> None:
    """Give the version on trial to more users.

    **Exit status**: 0 done, 1 some worker has not followed yet, 2 nothing was changed.

    **Examples**

        understudy rollout advance --reason "no sign of harm at 5 %"

        understudy rollout advance --share 50 --reason "a small fix, urgent"
    """
    _change(Action.ADVANCE, reason, person, share)


@rollout_app.command()
def promote(reason: Reason, person: Person = None) -> None:
    """Serve the version on trial to all.

    **Exit status**: 0 done, 1 some worker has not followed yet, 2 nothing was changed.

    **Examples**

        understudy rollout promote --reason "the shadow agreed for a week"
    """
    _change(Action.PROMOTE, reason, person)


@rollout_app.command()
def abort(reason: Reason, person: Person = None) -> None:
    """End the trial: all users get the answers of the live version again.

    **Exit status**: 0 done, 2 nothing was changed.

    **Examples**

        understudy rollout abort --reason "complaints of the shop in Graz"
    """
    _change(Action.ABORT, reason, person)


def _change(action: Action, reason: str, person: str | None, share: int | None = None) -> None:
    settings = load_settings()
    on = _current(settings).rollout
    if on is None:
        raise NothingOnTrial("no version is on trial; `understudy versions` lists what there is")
    body = checked(
        RolloutRequest,
        action=action,
        version=on.version,
        share_percent=share,
        # the share that the person saw: refused if the scheduler changed it meanwhile
        from_share_percent=on.share_percent,
        reason=reason,
    )
    answer = change_api(
        settings,
        "/update_rollout",
        Role.OPERATOR,
        body,
        RolloutChanged,
        person=person or user_name(),
    )
    if answer.rollout is None:
        console.print(f"the rollout of {on.version} is over; {answer.version} serves all users")
    else:
        console.print(f"{answer.share_percent} % of users get the answers of {on.version}")
    if answer.partial:
        console.print("some worker has not followed yet; see `understudy status`")
    raise typer.Exit(1 if answer.partial else 0)


def _current(settings: CommandSettings) -> CurrentModel:
    return read_api(settings, "/current_model", CurrentModel)


def _show(*, as_json: bool) -> None:
    settings = load_settings()
    current = _current(settings)
    on, last = current.rollout, current.last_rollout
    if as_json:
        write_json(
            {
                "rollout": None if on is None else on.model_dump(mode="json"),
                "last_rollout": None if last is None else last.model_dump(mode="json"),
            }
        )
        return
    if on is None:
        console.print(f"no version is on trial; {current.version} serves all users")
    else:
        _print_on(on)
        _print_looks(settings, on.version)
    if last is not None:
        console.print(_ended(last), soft_wrap=True)


def _print_on(on: RolloutView) -> None:
    console.print(_standing(on), soft_wrap=True)
    table = DataTable("", "users", "rows", "errors", "alert rate", "p99", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row(f"champion {on.champion}", *_figures(on.arms.champion))
    table.add_row(f"candidate {on.version}", *_figures(on.arms.candidate))
    console.print(table)
    workers = on.workers
    console.print(f"{workers.following} of {workers.total} workers follow")
    for worker, trouble in workers.troubles.items():
        console.print(f"worker {worker}: {trouble}", soft_wrap=True)
    if on.shadow is not None and on.shadow.gave_up is not None:
        console.print(f"the shadow is not started any more: {on.shadow.gave_up}", soft_wrap=True)


def _print_looks(settings: CommandSettings, version: str) -> None:
    looks = read_looks(settings.retrained_models_dir, version)
    if looks:
        console.print("looks of the scheduler: steps, and the first of each kind of waiting")
    for look in looks[-_LOOKS_SHOWN:]:
        console.print(f"  {look}", soft_wrap=True)


def _standing(on: RolloutView) -> str:
    what = "shadow: no user gets its answers"
    if on.mode is Mode.CANARY:
        following = "promotion" if on.next_share is None else f"{on.next_share} %"
        what = f"canary: {on.share_percent} % of users get its answers, next is {following}"
    return (
        f"{on.version} is on trial ({what})\n"
        f"begun {second_of(on.began_at)} by {on.begun_by}, this stage {second_of(on.stage_since)}"
    )


def _figures(arm: ArmStatistics) -> tuple[str, ...]:
    rate, p99 = arm.alert_rate, arm.latency_p99_ms
    return (
        f"{arm.users:,}",
        f"{arm.requests:,}",
        f"{arm.errors:,}",
        "-" if rate is None else f"{rate.mean:.2%}",
        "-" if p99 is None else f"{p99:g} ms",
    )


def _ended(last: EndedView) -> str:
    return (
        f"the last rollout: {last.version} beside {last.champion}, {last.outcome} at "
        f"{last.share_percent} % on {second_of(last.ended_at)} by {last.who}: {last.reason}"
    )
