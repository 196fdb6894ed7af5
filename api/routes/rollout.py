"""POST /update_rollout: the next share, promotion, or the end of what is being rolled out."""

from typing import Annotated

from fastapi import FastAPI, Header, Request

from api.http.auth import BY_OPERATORS, RouteSpec, add_route
from api.http.people import acting_name
from api.http.problems import (
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    MODEL_UNUSABLE,
    NO_ROLLOUT,
    REGISTRY_FAILED,
    ROLLOUT_CONFLICT,
    STALE_FENCING,
)
from api.models.refusals import as_problem
from api.registry.rollouts import ChangeRequest
from api.service import Service
from shared.contracts.rollouts import Action, RolloutChanged, RolloutRequest
from shared.errors import UnderstudyError
from shared.keys.tokens import Role

_LIMIT = 16 * 1024
_PROBLEMS = (
    NO_ROLLOUT,
    ROLLOUT_CONFLICT,
    STALE_FENCING,
    MODEL_UNUSABLE,
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    REGISTRY_FAILED,
)
Fencing = Annotated[
    int | None,
    Header(ge=0, le=2**53, description="Fencing number: grows with every lease of a scheduler"),
]


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
        "POST", "/update_rollout", update, Role.PUSH, _LIMIT, _PROBLEMS, options, also=BY_OPERATORS
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
