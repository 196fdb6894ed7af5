"""`understudy approve`, `refuse` and `approvals`: candidates that wait for a person."""

from typing import Annotated

import typer

from shared.contracts.people import ApprovalList, ApprovalRequest, ApprovalView
from shared.keys.tokens import Role
from understudy.api_client import change_api, read_api, user_name
from understudy.commands.options import AsJson, Person, Reason
from understudy.commands.serving import checked
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, second_of, write_json

Version = Annotated[
    str, typer.Argument(help="See `understudy approvals`.", show_default=False, metavar="VERSION")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(approvals)
    app.command()(approve)
    app.command()(refuse)


def approvals(
    limit: Annotated[int, typer.Option(min=1, max=500, help="Number of them, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print the candidates that wait for a person (APPROVAL=required), and those that waited.

    **Examples**

        understudy approvals

        understudy approvals --json
    """
    found = read_api(load_settings(), f"/approvals?limit={limit}", ApprovalList).approvals
    if as_json:
        write_json([one.model_dump(mode="json") for one in found])
        return
    if not found:
        console.print("no candidate waits for approval, or ever has")
        return
    table = DataTable("version", "run", "state", "against", "until", "by", "why", box=None)
    table.columns[4].no_wrap = True
    for one in found:
        until = second_of(one.expires_at if one.state == "waiting" else one.decided_at)
        cells = (one.champion or "first model", until, one.decided_by or "", one.reason or "")
        table.add_row(one.version, str(one.run_id), one.state, *cells)
    console.print(table)


def approve(
    version: Version, reason: Reason, person: Person = None, as_json: AsJson = False
) -> None:
    """Let a candidate that passed every gate be promoted; the scheduler does so within seconds.

    It is not promoted if the live version has changed since it was judged. The run says how it
    ended: `understudy runs show N`.

    **Exit status**: 0 approved, 2 nothing was changed.

    **Examples**

        understudy approve 1.0.3 --reason "gains on every slice" --as anna
    """
    found = _decide("/approve_model", version, reason, person)
    if as_json:
        write_json(found.model_dump(mode="json"))
    else:
        console.print(f"{found.version} is approved by {found.decided_by}; see run {found.run_id}")


def refuse(
    version: Version, reason: Reason, person: Person = None, as_json: AsJson = False
) -> None:
    """Keep a candidate that waits from being promoted; the live version stays.

    **Exit status**: 0 refused, 2 nothing was changed.

    **Examples**

        understudy refuse 1.0.3 --reason "the holidays are not in its data" --as anna
    """
    found = _decide("/refuse_model", version, reason, person)
    if as_json:
        write_json(found.model_dump(mode="json"))
    else:
        console.print(f"{found.version} is refused by {found.decided_by}")


def _decide(path: str, version: str, reason: str, person: str | None) -> ApprovalView:
    body = checked(ApprovalRequest, version=version, reason=reason)
    name = person or user_name()
    return change_api(load_settings(), path, Role.OPERATOR, body, ApprovalView, person=name)
