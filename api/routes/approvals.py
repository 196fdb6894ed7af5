"""Approval by a person: GET /approvals, POST /approve_model, POST /refuse_model."""

from typing import Annotated

from fastapi import FastAPI, Query, Request

from api.http.auth import RouteSpec, add_route
from api.http.callers import acting_name
from api.http.problems import (
    DATABASE_UNAVAILABLE,
    INVALID_REQUEST,
    NOT_WAITING,
    REGISTRY_FAILED,
    VERSION_CHANGED,
    Problem,
)
from api.service import Service
from shared.clock import isoformat
from shared.contracts.people import ApprovalList, ApprovalRequest, ApprovalView
from shared.keys.tokens import Role
from shared.tables.approvals import (
    Approval,
    ApprovalState,
    NotWaiting,
    Ruling,
    decide,
    list_approvals,
)

_LIMIT = 16 * 1024
_LINES = {ApprovalState.APPROVED: "candidate-approved", ApprovalState.REFUSED: "candidate-refused"}


def add_approval_routes(app: FastAPI, service: Service) -> None:
    """Adds the list of waiting candidates, approval and refusal; both always name the person."""
    engine = service.database.engine

    def approvals(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> ApprovalList:
        return ApprovalList(approvals=[_view(one) for one in list_approvals(engine, limit)])

    def approve(request: Request, body: ApprovalRequest) -> ApprovalView:
        return _decide(service, request, body, ApprovalState.APPROVED)

    def refuse(request: Request, body: ApprovalRequest) -> ApprovalView:
        return _decide(service, request, body, ApprovalState.REFUSED)

    tags = {"tags": ["models"]}
    problems = (NOT_WAITING, VERSION_CHANGED, DATABASE_UNAVAILABLE, REGISTRY_FAILED)
    specs = (
        RouteSpec("GET", "/approvals", approvals, Role.READ,
                problems=(DATABASE_UNAVAILABLE, INVALID_REQUEST),
                options={**tags, "summary": "Candidates that wait for a person, or waited"}),
        RouteSpec("POST", "/approve_model", approve, Role.OPERATOR, _LIMIT, problems,
                options={**tags, "summary": "Let a candidate that waits be promoted"}),
        RouteSpec("POST", "/refuse_model", refuse, Role.OPERATOR, _LIMIT, problems,
                options={**tags, "summary": "Keep a candidate that waits from being promoted"}),
    )  # fmt: skip
    for spec in specs:
        add_route(app, service.access.authenticator, spec)


def _decide(
    service: Service, request: Request, body: ApprovalRequest, state: ApprovalState
) -> ApprovalView:
    who = acting_name(request, body.person, is_required=True)

    def write_down(found: Approval) -> None:
        _check(service, found, body, state)
        details = {"run_id": found.run_id, "sha256": found.sha256}
        service.models.audit.write(
            _LINES[state], who, body.reason, version=found.version, **details
        )

    try:
        ruling = Ruling(state, who, body.reason)
        return _view(decide(service.database.engine, body.version, ruling, write_down))
    except NotWaiting as error:
        raise Problem(NOT_WAITING, str(error)) from error
    except OSError as error:
        detail = f"nothing was decided: the audit trail cannot be written: {error.strerror}"
        raise Problem(REGISTRY_FAILED, detail) from error


def _check(service: Service, found: Approval, body: ApprovalRequest, state: ApprovalState) -> None:
    """Evidence that is void by now approves nothing; a refusal needs none."""
    if body.sha256 not in (None, found.sha256):
        raise Problem(NOT_WAITING, f"the candidate {found.version} that waits is another bundle")
    live = service.models.slot.live
    serving = None if live is None else live.version
    if state is ApprovalState.APPROVED and serving != found.champion_version:
        raise Problem(
            VERSION_CHANGED,
            f"{serving or 'no model'} serves, but {found.version} was judged against "
            f"{found.champion_version or 'no model'}: the comparison is void",
        )


def _view(found: Approval) -> ApprovalView:
    decided = found.decided_at_us
    return ApprovalView(
        run_id=found.run_id,
        version=found.version,
        sha256=found.sha256,
        champion=found.champion_version,
        state=found.state.value,
        requested_at=isoformat(found.requested_at_us),
        expires_at=isoformat(found.expires_at_us),
        decided_at=None if decided is None else isoformat(decided),
        decided_by=found.decided_by,
        reason=found.reason,
    )
