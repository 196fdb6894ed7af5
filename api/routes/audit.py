"""Records of what happened: GET /audit, and GET /decisions/{row_id} with all it rests on.

Both always take a read token, also where reading is open: the trail names people, and a decision
holds a person's data under an id that can be guessed.
"""

from typing import Annotated

from fastapi import FastAPI, Path, Query, Response

from api.http.auth import RouteSpec, add_route
from api.http.problems import (
    DATABASE_UNAVAILABLE,
    INVALID_REQUEST,
    REGISTRY_FAILED,
    UNKNOWN_ROW,
    Problem,
)
from api.service import Service
from shared.contracts.decisions import DecisionView
from shared.contracts.people import AuditTrailView
from shared.keys.tokens import Role

Limit = Annotated[int, Query(ge=1, le=500, description="Lines, newest first")]
Before = Annotated[
    int | None, Query(ge=1, le=2**53, description="Only lines with a smaller number than this")
]
RowId = Annotated[
    str, Path(min_length=1, max_length=256, description="The row's id, as it was sent or answered")
]


def add_audit_route(app: FastAPI, service: Service) -> None:
    """GET /audit: who changed what is served, when and why, and whether the trail is whole."""

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


def add_decision_route(app: FastAPI, service: Service) -> None:
    """GET /decisions/{row_id}."""

    def get_decision(row_id: RowId, response: Response) -> DecisionView:
        found = service.decisions.of(row_id)
        if found is None:
            raise Problem(
                UNKNOWN_ROW,
                "no decision about this row is stored; one that was just made is stored within "
                "seconds: ask again then",
            )
        response.headers["Cache-Control"] = "no-store"
        return found

    spec = RouteSpec(
        "GET",
        "/decisions/{row_id:path}",
        get_decision,
        Role.READ,
        problems=(UNKNOWN_ROW, DATABASE_UNAVAILABLE, INVALID_REQUEST),
        options={"tags": ["decisions"], "summary": "One decision and everything it rests on"},
        never_open=True,
    )
    add_route(app, service.access.authenticator, spec)
