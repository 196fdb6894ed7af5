"""GET /audit: who changed what is served, when and why, and whether the trail is whole."""

from typing import Annotated

from fastapi import FastAPI, Query, Response

from api.http.auth import RouteSpec, add_route
from api.http.problems import INVALID_REQUEST, REGISTRY_FAILED, Problem
from api.service import Service
from shared.contracts.audit import AuditTrailView
from shared.keys.tokens import Role

Limit = Annotated[int, Query(ge=1, le=500, description="Lines, newest first")]
Before = Annotated[
    int | None, Query(ge=1, le=2**53, description="Only lines with a smaller number than this")
]


def add_audit_route(app: FastAPI, service: Service) -> None:
    """GET /audit; it always takes a read token, because it names people."""

    def get_audit(response: Response, limit: Limit = 50, before: Before = None) -> AuditTrailView:
        response.headers["Cache-Control"] = "no-store"
        try:
            return service.models.audit_reader.page(limit, before)
        except OSError as error:
            raise Problem(REGISTRY_FAILED, f"the trail cannot be read: {error.strerror}") from error

    options = {"tags": ["audit"], "summary": "Who changed what is served, when and why"}
    spec = RouteSpec(
        "GET",
        "/audit",
        get_audit,
        Role.READ,
        problems=(INVALID_REQUEST, REGISTRY_FAILED),
        options=options,
        never_open=True,
    )
    add_route(app, service.access.authenticator, spec)
