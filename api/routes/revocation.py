"""POST /revoke_model: a version that must never be served again."""

from contextlib import suppress

from fastapi import FastAPI, Request

from api.http.auth import RouteSpec, add_route
from api.http.people import acting_name
from api.models.problems import ROLLBACK_PROBLEMS, as_problem
from api.models.refusals import NoRollout, RolloutConflict
from api.registry.rollouts import ChangeRequest
from api.service import Service
from shared.contracts.models import Revoked, RevokeRequest
from shared.errors import UnderstudyError
from shared.keys.tokens import Role

_LIMIT = 16 * 1024


def add_revocation_route(app: FastAPI, service: Service) -> None:
    """POST /revoke_model."""

    def revoke(request: Request, body: RevokeRequest) -> Revoked:
        who = acting_name(request, body.person)
        try:
            with suppress(NoRollout, RolloutConflict):
                # If it is on trial, users do not get it from here on.
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
