"""Every route of the table itself, so that a new one cannot be forgotten."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from api.http.auth import ALSO_ADMITTED, BY_OPERATORS, Authenticator, Limits
from api.http.problems import Problem
from api.settings import Settings
from shared.keys.tokens import API_ROLES, Role
from tests.api.server import Running, serve_settings

OPEN = "open to everybody"
# Routes of another role that a person may use as well, with the operator's token.
ALSO = {
    ("POST", "/update_rollout"): BY_OPERATORS,
    ("POST", "/api/mlops/trigger-retraining"): BY_OPERATORS,
}
WHO: dict[tuple[str, str], Role | str] = {
    ("POST", "/score"): Role.SCORER,
    ("POST", "/score/batch"): Role.SCORER,
    ("POST", "/decide"): Role.SCORER,
    ("POST", "/feedback"): Role.FEEDBACK,
    ("GET", "/current_model"): Role.READ,
    ("GET", "/models"): Role.READ,
    ("GET", "/models/{version}/bundle"): Role.PUSH,
    ("POST", "/update_model"): Role.PUSH,
    ("POST", "/rollback_model"): Role.OPERATOR,
    ("POST", "/revoke_model"): Role.OPERATOR,
    ("POST", "/update_rollout"): Role.PUSH,
    ("POST", "/alert"): Role.ALERT,
    ("POST", "/api/mlops/trigger-retraining"): Role.TRIGGER,
    ("POST", "/api/mlops/force-retraining"): Role.OPERATOR,
    ("POST", "/api/mlops/replays"): Role.OPERATOR,
    ("POST", "/api/mlops/runs/{run_id}/cancel"): Role.OPERATOR,
    ("POST", "/api/mlops/schedule"): Role.OPERATOR,
    ("GET", "/api/mlops/runs"): Role.READ,
    ("GET", "/api/mlops/runs/{run_id}"): Role.READ,
    ("GET", "/approvals"): Role.READ,
    ("POST", "/approve_model"): Role.OPERATOR,
    ("POST", "/refuse_model"): Role.OPERATOR,
    ("GET", "/decisions/{row_id:path}"): Role.READ,
    ("GET", "/audit"): Role.READ,
    ("GET", "/api/health"): OPEN,
    ("GET", "/livez"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/docs/swagger-ui-bundle.js"): OPEN,
    ("GET", "/docs/swagger-ui.css"): OPEN,
    ("GET", "/openapi.json"): OPEN,
}
# What they show is about people: never open.
ABOUT_PEOPLE = {("GET", "/decisions/{row_id:path}"), ("GET", "/audit")}
GUARDED = [(address, role) for address, role in WHO.items() if isinstance(role, Role)]


@pytest.fixture(scope="module")
def closed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with SCORING_AUTH=on."""
    folder = tmp_path_factory.mktemp("closed")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    settings = serve_settings(folder, scoring_auth="on", failed_attempts_per_minute=0)
    with Running(settings) as server:
        yield server


def call(
    server: Running, address: tuple[str, str], headers: dict[str, str] | None = None
) -> httpx.Response:
    method, path = address
    return server.client.request(method, path.replace("{run_id}", "1"), headers=headers)


def test_every_route_is_in_the_table_of_who_may_call_it(steady: Running) -> None:
    routes = {
        (method, getattr(route, "path", ""))
        for route in steady.app.routes
        for method in getattr(route, "methods", set()) - {"HEAD"}
    }
    assert routes == set(WHO)


def test_only_the_docs_are_not_behind_the_door(steady: Running) -> None:
    others = {getattr(r, "path", "") for r in steady.app.routes if not isinstance(r, APIRoute)}
    viewer = {"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"}
    assert others == {"/", "/docs", "/openapi.json"} | viewer


@pytest.mark.parametrize(("address", "role"), GUARDED)
def test_without_credentials_nobody_gets_in(
    closed: Running, address: tuple[str, str], role: Role
) -> None:
    for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "Basic !!"}):
        answer = call(closed, address, headers)
        assert answer.status_code == 401
        assert answer.json()["type"] == "urn:understudy:problem:no-credentials"
        scheme = "Basic" if role is Role.TRIGGER else "Bearer"
        assert answer.headers["WWW-Authenticate"].startswith(scheme)
        assert answer.headers["X-Model-Version"] == "1.0.0"


@pytest.mark.parametrize(("address", "role"), GUARDED)
def test_another_roles_credentials_do_not_open_a_route(
    closed: Running, address: tuple[str, str], role: Role
) -> None:
    admitted = {role, *ALSO_ADMITTED.get(role, ()), *ALSO.get(address, ())}
    for other in set(API_ROLES) - admitted:
        answer = call(closed, address, closed.bearer(other))
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:understudy:problem:wrong-role"


@pytest.mark.parametrize(("address", "role"), GUARDED)
def test_the_roles_own_credentials_open_it(
    closed: Running, address: tuple[str, str], role: Role
) -> None:
    auth = {"Authorization": httpx.BasicAuth("operator", closed.token(role))._auth_header}
    headers = auth if role is Role.TRIGGER else closed.bearer(role)
    answer = call(closed, address, headers)
    # An empty push is let in and then refused for its missing signature.
    signature_missing = answer.status_code == 403 and answer.json()["type"].endswith("signature")
    assert answer.status_code not in (401, 403) or signature_missing


def test_the_triggers_password_needs_its_user_and_its_scheme(closed: Running) -> None:
    password = closed.token(Role.TRIGGER)
    path = "/api/mlops/trigger-retraining"
    assert closed.client.post(path, auth=("root", password)).status_code == 401
    assert closed.client.post(path, auth=("operator", "")).status_code == 401
    assert call(closed, ("POST", path), closed.bearer(Role.TRIGGER)).status_code == 401
    as_scorer = closed.client.post(path, auth=("operator", closed.token(Role.SCORER)))
    assert as_scorer.status_code == 403


def test_credentials_are_checked_before_the_body_is_read(closed: Running) -> None:
    answer = closed.client.post("/rollback_model", content=b"x" * 1_000_000)
    assert answer.status_code == 401


def test_scoring_and_reading_are_open_by_default_and_nothing_else_is(settings: Settings) -> None:
    with Running(settings) as server:
        opened = {
            address for address, _ in GUARDED if call(server, address).status_code not in (401, 403)
        }
    reading = {a for a, role in GUARDED if role in (Role.SCORER, Role.READ)}
    assert opened == reading - ABOUT_PEOPLE


def test_an_error_about_credentials_never_shows_them() -> None:
    tokens = {Role.SCORER: "s3cret", Role.PUSH: "0ther"}
    door = Authenticator(tokens, Limits.per_minute(0, 0), scoring_open=False)
    scope = {"headers": [(b"authorization", b"Bearer 0ther")], "path": "/score"}
    with pytest.raises(Problem) as caught:
        door.admit(scope, Role.SCORER)
    assert "0ther" not in str(caught.value.body())
    assert "s3cret" not in repr(vars(door))
