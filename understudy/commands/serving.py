"""Changes by a person through the API: rollback, revocation, approval, and the truth of a row."""

from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

import usecases
from shared.contracts.feedback import FeedbackAnswer
from shared.contracts.models import ModelChanged, Revoked, RevokeRequest, RollbackRequest
from shared.contracts.people import ApprovalList, ApprovalRequest, ApprovalView
from shared.errors import UnderstudyError
from shared.keys.tokens import Role
from understudy.api_client import change_api, read_api, user_name
from understudy.commands.options import AsJson, Person, Reason
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, second_of, write_json

Body = TypeVar("Body", bound=BaseModel)

Version = Annotated[
    str, typer.Argument(help="See `understudy approvals`.", show_default=False, metavar="VERSION")
]


class NotSendable(UnderstudyError):
    """Raised when what was written cannot be sent; names the fields."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(rollback)
    app.command()(revoke)
    app.command()(feedback)
    app.command()(approvals)
    app.command()(approve)
    app.command()(refuse)


def rollback(
    reason: Reason,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="The version; see `understudy versions`.",
            show_default="end a rollout that is on, else the version served before",
        ),
    ] = None,
    person: Person = None,
    as_json: AsJson = False,
) -> None:
    """Serve an older version again, within seconds; scheduler and database are not needed.

    While a version is on trial, `rollback` without --to ends the trial, and the live version
    stays. The version that is left can be served again with --to; `understudy revoke` forbids it.

    **Exit status**: 0 every worker serves the version, 1 not every worker does yet, 2 nothing
    was changed.

    **Examples**

        understudy rollback --reason "blocks too much since noon" --as anna

        understudy rollback --to 1.0.3 --reason "the last one that support was happy with"
    """  # fmt: skip
    body = checked(RollbackRequest, version=to, reason=reason)
    answer = change_api(
        load_settings(),
        "/rollback_model",
        Role.OPERATOR,
        body,
        ModelChanged,
        person=person or user_name(),
    )
    if as_json:
        write_json(answer.model_dump(mode="json"))
    else:
        left = "" if answer.previous in {None, answer.version} else f", not {answer.previous}"
        console.print(f"{answer.version} serves{left}, since {answer.activated_at}")
        workers = answer.workers
        if answer.partial:
            console.print(f"{workers.serving} of {workers.total} workers serve it so far")
        for worker in workers.failed:
            console.print(f"worker {worker.worker}: {worker.reason}", soft_wrap=True)
    raise typer.Exit(1 if answer.partial else 0)


def revoke(
    version: Annotated[str, typer.Argument(help="See `understudy versions`.", show_default=False)],
    reason: Reason,
    person: Person = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a version: it is never served again; a live one is rolled back first, a trial ends.

    **Exit status**: 0 done, 2 nothing was changed.

    **Examples**

        understudy revoke 1.0.3 --reason "trained on rows that were tampered with"
    """
    body = checked(RevokeRequest, version=version, reason=reason)
    answer = change_api(
        load_settings(), "/revoke_model", Role.OPERATOR, body, Revoked, person=person or user_name()
    )
    if as_json:
        write_json(answer.model_dump(mode="json"))
    else:
        console.print(f"{answer.revoked} is revoked; {answer.version} serves")


def feedback(
    transaction_id: Annotated[
        str, typer.Argument(metavar="ID", help="The row, as it was scored.", show_default=False)
    ],
    label: Annotated[
        str,
        typer.Argument(
            help="1 or 0, yes or no, a word of the use case, or a value.", show_default=False
        ),
    ],
    known_at: Annotated[
        str | None,
        typer.Option(help="When it became known: a date, or a date and time.", show_default="now"),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Its source, in a-z, 0-9, '_' and '-'.", show_default="feedback"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what turned out to be true of one row. Many rows: `understudy import`, or /feedback.

    **Exit status**: 0 kept, 1 there is no such row, 2 nothing was sent or it was refused.

    **Examples**

        understudy feedback t-1001 1

        understudy feedback t-1001 legit --known-at 2026-11-20 --source chargeback

        USE_CASE=deliveries understudy feedback p-1 31.5
    """  # fmt: skip
    fields = {
        "transaction_id": transaction_id,
        "label": label,
        "source": source,
        "label_known_at": known_at,
    }
    said = {name: value for name, value in fields.items() if value is not None}
    body = _AsWritten(labels=[said])
    settings = load_settings()
    checked(usecases.row_store(settings.use_case).feedback_request, labels=[said])
    answer = change_api(settings, "/feedback", Role.FEEDBACK, body, FeedbackAnswer)
    if as_json:
        write_json(answer.model_dump(mode="json"))
    else:
        console.print(_told(transaction_id, answer), soft_wrap=True)
    raise typer.Exit(1 if answer.unknown else 0)


class _AsWritten(BaseModel):
    """The request in the caller's own words: the API reads dates and labels."""

    labels: list[dict[str, str]]


def _told(transaction_id: str, answer: FeedbackAnswer) -> str:
    if answer.unknown:
        return f"there is no row {transaction_id}; the label was not kept"
    if answer.queued:
        return "kept in the journal; it is stored when the database is back"
    if answer.replaced:
        return "stored; it replaced another label, which is kept as well"
    if answer.outdated:
        return "stored beside a label that was known later and stays"
    return "stored"


def checked(model: type[Body], **fields: Any) -> Body:
    """The body of a request.

    Raises:
        NotSendable: the API would refuse it; names the fields.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = (
            f"{item['loc'][-1] if item['loc'] else 'body'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in found
        )
        raise NotSendable("; ".join(faults)) from error


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
