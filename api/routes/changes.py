"""Changes of what is served: push, rollback, revocation, and steps of a rollout."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Query, Request
from starlette.concurrency import run_in_threadpool

from api.http.auth import BY_OPERATORS, RouteSpec, add_route
from api.http.bodies import ClientGone, read_body, require_plain
from api.http.callers import acting_name
from api.http.problems import (
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    INVALID_REQUEST,
    MODEL_UNUSABLE,
    NO_ROLLOUT,
    ORDER_EXPIRED,
    REGISTRY_FAILED,
    ROLLOUT_CONFLICT,
    STALE_FENCING,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    VERSION_CONFLICT,
    Problem,
)
from api.models.refusals import ROLLBACK_PROBLEMS, NoRollout, RolloutConflict, as_problem
from api.models.serving_state import Push, VersionChange
from api.registry.rollouts import ChangeRequest
from api.service import Service
from shared.clock import isoformat, to_micros
from shared.contracts.models import (
    ModelChanged,
    NotFollowing,
    Revoked,
    RevokeRequest,
    RollbackRequest,
    WorkersView,
)
from shared.contracts.rollouts import Action, Mode, RolloutChanged, RolloutRequest
from shared.errors import UnderstudyError
from shared.keys.tokens import Role

# Longer than any change takes, and shorter than a person takes to try something else.
MAX_WAIT_SECONDS = 5.0

_LIMIT = 16 * 1024
_PUSH_PROBLEMS = (
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    MODEL_UNUSABLE,
    INVALID_REQUEST,
    VERSION_CONFLICT,
    STALE_FENCING,
    ROLLOUT_CONFLICT,
    REGISTRY_FAILED,
)
_ROLLOUT_PROBLEMS = (
    NO_ROLLOUT,
    ROLLOUT_CONFLICT,
    STALE_FENCING,
    MODEL_UNUSABLE,
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    REGISTRY_FAILED,
)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PUSH_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bundle itself",
        "content": {"application/octet-stream": _BINARY},
    }
}

Signature = Annotated[
    str, Header(max_length=1_000, description="keyid:base64, over the body's bytes")
]
Fencing = Annotated[
    int | None,
    Header(ge=0, le=2**53, description="Fencing number: grows with every lease of a scheduler"),
]

Wanted = Annotated[
    Mode | None, Query(description="How the version comes into service; default: immediate")
]
WantedHeader = Annotated[Mode | None, Header(description="The same as a header")]


@dataclass(frozen=True, slots=True)
class Order:
    """The instant a change was received, and the version `current_version.txt` named then."""

    received: float
    pointer: str | None

    def check(self, not_after: datetime | None, now_us: int) -> None:
        """Raises Problem when it is too late to carry it out."""
        waited = time.monotonic() - self.received
        if waited > MAX_WAIT_SECONDS:
            raise Problem(
                ORDER_EXPIRED,
                f"it waited {waited:.1f} s, {MAX_WAIT_SECONDS:g} s at most; ask again",
            )
        if not_after is not None and now_us > to_micros(not_after):
            raise Problem(ORDER_EXPIRED, f"not_after is over: it is {isoformat(now_us)}")


def received(service: Service) -> Callable[[Request], Awaitable[Order]]:
    """A dependency of routes that change what is served; runs before the order waits."""

    async def order(request: Request) -> Order:
        if await request.is_disconnected():
            raise Problem(ORDER_EXPIRED, "the caller has disconnected")
        return Order(time.monotonic(), service.models.registry.current())

    return order


def _settled(service: Service, change: VersionChange, mode: Mode = Mode.IMMEDIATE) -> ModelChanged:
    """Wait until every worker serves it, or tries it, or has had its time."""
    on_trial = None if mode is Mode.IMMEDIATE else service.rollout_controller.followed()
    workers = on_trial or service.workers.roster.await_convergence(change.version)
    failed = [NotFollowing(worker=left.worker, reason=left.reason) for left in workers.failed]
    return ModelChanged(
        version=change.version,
        previous=change.previous,
        activated_at=isoformat(change.activated_at_us),
        workers=WorkersView(serving=workers.serving, total=workers.total, failed=failed),
        partial=workers.partial,
        owed=service.models.share is not None and service.models.share.owes,
        rollout=mode,
    )


def add_change_routes(app: FastAPI, service: Service) -> None:
    """POST /update_model, POST /rollback_model."""

    async def update(
        request: Request,
        x_bundle_signature: Signature = "",
        x_fencing_number: Fencing = None,
        rollout: Wanted = None,
        x_rollout: WantedHeader = None,
    ) -> ModelChanged:
        mode = rollout or x_rollout or Mode.IMMEDIATE
        return await _push(service, request, x_bundle_signature, x_fencing_number, mode)

    order_received = Depends(received(service))

    def rollback(
        request: Request, body: RollbackRequest, order: Order = order_received
    ) -> ModelChanged:
        who = acting_name(request, body.person)
        order.check(body.not_after, service.clock.now_us())
        try:
            change = _roll_back(service, body, who, order)
        except (UnderstudyError, OSError) as error:
            raise as_problem(error) from error
        return _settled(service, change)

    tags = {"tags": ["models"]}
    specs = (
        RouteSpec("POST", "/update_model", update, Role.PUSH, problems=_PUSH_PROBLEMS,
                options={**tags, "summary": "Push a signed bundle"}, extra=_PUSH_BODY),
        RouteSpec("POST", "/rollback_model", rollback, Role.OPERATOR, _LIMIT,
                problems=ROLLBACK_PROBLEMS,
                options={**tags, "summary": "Roll back to an older version"}),
    )  # fmt: skip
    for spec in specs:
        add_route(app, service.access.authenticator, spec)


def _roll_back(service: Service, body: RollbackRequest, who: str, order: Order) -> VersionChange:
    """The newest change is undone first: while a version is on trial, the trial ends."""
    rollout = service.rollout_controller.rollout
    if body.version is None and rollout is not None and body.leaving in (None, rollout.version):
        with suppress(NoRollout):
            return service.rollout_controller.abort(ChangeRequest(None, body.reason, who))
    return service.models.promoter.rollback(
        body.version, body.reason, who, leaving=body.leaving, seen=order.pointer
    )


async def _push(
    service: Service, request: Request, signature: str, fencing_number: int | None, mode: Mode
) -> ModelChanged:
    """The bundle from the wire into service; every refusal is counted and audited."""
    who = acting_name(request)
    try:
        require_plain(request.scope)
        raw = await read_body(request.scope, request.receive, service.settings.bundle_max_bytes)
        push = Push(raw, signature, fencing_number, who)
        change, mode = await run_in_threadpool(service.rollout_controller.push, push, mode)
        return await run_in_threadpool(_settled, service, change, mode)
    except ClientGone:
        refusal = Problem(INVALID_REQUEST, "the upload was cut short")
    except Problem as problem:
        refusal = problem
    except (UnderstudyError, OSError) as error:
        refusal = as_problem(error)
        refusal.__cause__ = error
    await run_in_threadpool(service.models.promoter.refused, refusal.kind.code, refusal.detail, who)
    raise refusal


def add_revocation_route(app: FastAPI, service: Service) -> None:
    """POST /revoke_model."""

    def revoke(request: Request, body: RevokeRequest) -> Revoked:
        who = acting_name(request, body.person)
        try:
            with suppress(NoRollout, RolloutConflict):
                # Ends its trial, if any: no user gets its responses from here on.
                service.rollout_controller.abort(
                    ChangeRequest(body.version, f"revoked: {body.reason}", who)
                )
            now = service.models.revoker.revoke(body.version, body.reason, who)
        except (UnderstudyError, OSError) as error:
            raise as_problem(error) from error
        return Revoked(revoked=body.version, version=now)

    options = {"tags": ["models"], "summary": "Never serve a version again"}
    spec = RouteSpec(
        "POST", "/revoke_model", revoke, Role.OPERATOR, _LIMIT, ROLLBACK_PROBLEMS, options
    )
    add_route(app, service.access.authenticator, spec)


def add_rollout_routes(app: FastAPI, service: Service) -> None:
    """POST /update_rollout."""

    def update(
        request: Request, body: RolloutRequest, x_fencing_number: Fencing = None
    ) -> RolloutChanged:
        who = acting_name(request, body.person)
        change_request = ChangeRequest(
            body.version, body.reason, who, x_fencing_number, body.from_share_percent
        )
        try:
            partial = _carry_out(service, change_request, body)
        except (UnderstudyError, OSError) as error:
            raise as_problem(error) from error
        rollout = service.rollout_controller.rollout
        return RolloutChanged(
            action=body.action,
            version=service.models.slot.version,
            rollout=None if rollout is None else rollout.mode,
            share_percent=None if rollout is None else rollout.share_percent,
            partial=partial,
        )

    options = {"tags": ["models"], "summary": "Advance, promote or abort the rollout"}
    spec = RouteSpec(
        "POST",
        "/update_rollout",
        update,
        Role.PUSH,
        _LIMIT,
        _ROLLOUT_PROBLEMS,
        options,
        also=BY_OPERATORS,
    )
    add_route(app, service.access.authenticator, spec)


def _carry_out(service: Service, change_request: ChangeRequest, body: RolloutRequest) -> bool:
    """Carries out a change; returns True if some worker did not follow."""
    rollout_controller = service.rollout_controller
    if body.action is Action.PROMOTE:
        change = rollout_controller.promote(change_request)
        return service.workers.roster.await_convergence(change.version).partial
    if body.action is Action.ABORT:
        rollout_controller.abort(change_request)
        return False
    rollout_controller.advance(change_request, body.share_percent)
    workers = rollout_controller.followed()
    return workers is not None and workers.partial
