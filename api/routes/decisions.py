"""GET /decisions/{row_id}: one decision with all it rests on, for callers with a token."""

from typing import Annotated

from fastapi import FastAPI, Path, Response

from api.http.auth import RouteSpec, add_route
from api.http.problems import DATABASE_UNAVAILABLE, INVALID_REQUEST, UNKNOWN_ROW, Problem
from api.service import Service
from shared.contracts.decisions import DecisionView
from shared.keys.tokens import Role

RowId = Annotated[
    str, Path(min_length=1, max_length=256, description="The row's id, as it was sent or answered")
]


def add_decision_route(app: FastAPI, service: Service) -> None:
    """GET /decisions/{row_id}.

    It always takes a read token, also where reading is open: a decision holds a person's data,
    and ids can be guessed.
    """

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
