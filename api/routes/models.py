"""Routes of versions: the live version, push, rollback, and revocation."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request
from starlette.concurrency import run_in_threadpool

from api.http.auth import RouteSpec, add_route
from api.http.bodies import ClientGone, read_body, require_plain
from api.http.people import acting_name
from api.http.problems import (
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    INVALID_REQUEST,
    MODEL_UNUSABLE,
    NO_MODEL,
    ORDER_EXPIRED,
    REGISTRY_FAILED,
    ROLLOUT_CONFLICT,
    STALE_FENCING,
    TOO_LARGE,
    UNSUPPORTED_MEDIA,
    VERSION_CONFLICT,
    Problem,
)
from api.models.push import Push
from api.models.refusals import ROLLBACK_PROBLEMS, NoRollout, RolloutConflict, as_problem
from api.models.serving_state import VersionChange
from api.registry.rollouts import ChangeRequest
from api.rollout.arm_statistics import ended_view, rollout_view
from api.service import Service
from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.clock import isoformat, to_micros
from shared.contracts.models import (
    CurrentModel,
    ModelChanged,
    Models,
    ModelSummary,
    NotFollowing,
    Revoked,
    RevokeRequest,
    RollbackRequest,
    WorkersView,
)
from shared.contracts.rollouts import Mode
from shared.errors import UnderstudyError
from shared.keys.tokens import Role

# Longer than any change takes, and shorter than a person takes to try something else.
MAX_WAIT_SECONDS = 5.0

_ROLLBACK_LIMIT = 16 * 1024
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


def current_model(service: Service) -> CurrentModel:
    """Raises Problem when nothing is served yet."""
    live, fallback = service.models.slot.live, service.models.slot.fallback
    if live is None:
        raise Problem(NO_MODEL, "the first model has not been promoted yet")
    manifest: Manifest = live.model.manifest
    newest = service.models.registry.ledger.newest
    return CurrentModel(
        version=live.version,
        fallback=None if fallback is None else fallback.version,
        newest_accepted=None if newest is None else str(newest),
        activated_at=isoformat(live.activated_at_us),
        sha256=live.model.sha256,
        created_at=manifest.created_at.isoformat(),
        description=manifest.description,
        components=list(manifest.components),
        feature_set_version=manifest.feature_set_version,
        feature_names=list(manifest.feature_names),
        thresholds=manifest.thresholds,
        metrics=manifest.metrics,
        training_data=manifest.training_data.model_dump(mode="json"),
        parent_version=manifest.parent_version,
        frameworks=manifest.frameworks,
        rollout=rollout_view(service.rollout_controller, service.clock.now_us()),
        last_rollout=ended_view(service.rollout_controller.rollouts.last),
    )


def every_model(service: Service) -> Models:
    versions = sorted(service.models.registry.ledger.accepted, key=Version.parse, reverse=True)
    return Models(models=[_summary(service, version) for version in versions])


def _summary(service: Service, version: str) -> ModelSummary:
    ledger = service.models.registry.ledger
    accepted, meta = ledger.accepted[version], service.models.registry.meta(version)
    rolled_back, activated = accepted.rolled_back_at_us, ledger.activated_at_us(version)
    revoked = accepted.revoked_at_us
    manifest: dict[str, Any] = {} if meta is None else meta.manifest
    return ModelSummary(
        version=version,
        state=_state(service, version, stored=meta is not None),
        accepted_at=isoformat(accepted.accepted_at_us),
        last_activated_at=None if activated is None else isoformat(activated),
        rolled_back_at=None if rolled_back is None else isoformat(rolled_back),
        rolled_back_reason=accepted.rolled_back_reason,
        revoked_at=None if revoked is None else isoformat(revoked),
        revoked_reason=accepted.revoked_reason,
        sha256=accepted.sha256,
        signed_by=accepted.key_id,
        parent_version=manifest.get("parent_version"),
        size_bytes=None if meta is None else meta.size_bytes,
        metrics=manifest.get("metrics"),
    )


def _state(service: Service, version: str, *, stored: bool) -> str:
    models = service.models.slot
    if models.live is not None and models.live.version == version:
        return "serving"
    if models.fallback is not None and models.fallback.version == version:
        return "fallback"
    if service.models.registry.ledger.is_revoked(version):
        return "revoked"
    rollout = service.rollout_controller.rollout
    if rollout is not None and rollout.version == version:
        return "on-trial"
    if not stored:
        return "removed"
    return "rolled-back" if service.models.registry.ledger.was_left(version) else "stored"


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


def add_model_routes(app: FastAPI, service: Service) -> None:
    """GET /current_model, GET /models, POST /update_model, POST /rollback_model."""

    def get_current() -> CurrentModel:
        return current_model(service)

    def get_models() -> Models:
        return every_model(service)

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
        RouteSpec("GET", "/current_model", get_current, Role.READ,
                problems=(NO_MODEL,), options={**tags, "summary": "What is served now"}),
        RouteSpec("GET", "/models", get_models, Role.READ,
                options={**tags, "summary": "Every version and its state"}),
        RouteSpec("POST", "/update_model", update, Role.PUSH, problems=_PUSH_PROBLEMS,
                options={**tags, "summary": "Push a signed bundle"}, extra=_PUSH_BODY),
        RouteSpec("POST", "/rollback_model", rollback, Role.OPERATOR, _ROLLBACK_LIMIT,
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


_LIMIT = 16 * 1024


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
