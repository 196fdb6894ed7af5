"""Every answer of a real service fits the model that its readers parse it with."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from api.registry.audit import AuditTrail
from shared.clock import SystemClock
from shared.contracts.feedback import FeedbackAnswer
from shared.contracts.health import AlertAnswer, Alive, Health, HealthStatus, Ready
from shared.contracts.http import ProblemBody, parse_contract
from shared.contracts.models import CurrentModel, ModelChanged, Models, Revoked
from shared.contracts.people import AuditLine
from shared.contracts.rollouts import RolloutChanged
from shared.contracts.runs import RunRequested, Runs, RunView
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.server import Running

READ: dict[str, type[BaseModel]] = {
    "/current_model": CurrentModel,
    "/models": Models,
    "/api/health": Health,
    "/livez": Alive,
    "/readyz": Ready,
    "/api/mlops/runs": Runs,
}
NAMED: tuple[type[BaseModel], ...] = (
    *READ.values(),
    ModelChanged,
    Revoked,
    RolloutChanged,
    RunRequested,
    RunView,
    FeedbackAnswer,
    AlertAnswer,
    ProblemBody,
)


def complete(model: type[BaseModel], answer: httpx.Response) -> Any:
    """The answer through the model, which has to know every member of it."""
    assert answer.is_success, answer.text
    found = parse_contract(model, answer.content, str(answer.request.url))
    assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == answer.json()
    return found


@pytest.mark.parametrize("path", sorted(READ))
def test_what_is_read_fits_its_model(steady: Running, path: str) -> None:
    complete(READ[path], steady.client.get(path))


@pytest.mark.parametrize("path", ["/api/health", "/livez", "/readyz"])
def test_health_routes_all_say_a_status(steady: Running, path: str) -> None:
    answer = steady.client.get(path)
    assert parse_contract(HealthStatus, answer.content, path).status


def test_the_schema_names_every_model(steady: Running) -> None:
    schemas = steady.client.get("/openapi.json").json()["components"]["schemas"]
    assert {model.__name__ for model in NAMED} <= set(schemas)


def test_a_push_a_trial_and_a_rollback_fit(serving: Running, signer: Signer) -> None:
    first = complete(ModelChanged, serving.push(signer.bundle("1.0.1"), signer))
    assert (first.version, first.previous) == ("1.0.1", "1.0.0")
    complete(ModelChanged, serving.push(signer.bundle("1.0.2"), signer, **{"X-Rollout": "canary"}))
    shown = complete(CurrentModel, serving.client.get("/current_model"))
    assert shown.rollout.version == "1.0.2"
    step = {"action": "abort", "version": "1.0.2", "reason": "a test"}
    headers = serving.bearer(Role.PUSH)
    answer = serving.client.post("/update_rollout", json=step, headers=headers)
    assert complete(RolloutChanged, answer).rollout is None
    assert complete(CurrentModel, serving.client.get("/current_model")).last_rollout is not None
    assert complete(ModelChanged, serving.rollback()).version == "1.0.0"
    order = {"version": "1.0.1", "reason": "a test"}
    headers = serving.bearer(Role.OPERATOR)
    answer = serving.client.post("/revoke_model", json=order, headers=headers)
    assert complete(Revoked, answer).revoked == "1.0.1"


def test_alerts_labels_and_runs_fit(serving: Running) -> None:
    post = serving.client.post
    alert = post("/alert", json={"alerts": []}, headers=serving.bearer(Role.ALERT))
    assert complete(AlertAnswer, alert).action == "none"
    labels = {"labels": [{"transaction_id": "nobody", "label": 1}]}
    answer = post("/feedback", json=labels, headers=serving.bearer(Role.FEEDBACK))
    assert complete(FeedbackAnswer, answer).unknown == ["nobody"]
    operator = ("operator", serving.token(Role.TRIGGER))
    run = complete(RunRequested, post("/api/mlops/trigger-retraining", auth=operator))
    complete(RunView, serving.client.get(f"/api/mlops/runs/{run.run_id}"))


PROBLEMS: dict[str, Callable[[Running], httpx.Response]] = {
    "not-found": lambda server: server.client.get("/nowhere"),
    "invalid-request": lambda server: server.client.get("/api/mlops/runs?limit=0"),
    "no-credentials": lambda server: server.client.post("/rollback_model", json={}),
    "wrong-host": lambda server: server.client.get("/livez", headers={"Host": "evil.example"}),
    "foreign-origin": lambda server: server.client.post(
        "/feedback", headers={"Origin": "https://evil.example"}
    ),
    "address-too-long": lambda server: server.client.get("/" + "a" * 20_000),
}


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_every_refusal_is_a_problem_with_its_code(steady: Running, code: str) -> None:
    answer = PROBLEMS[code](steady)
    assert answer.headers["content-type"] == "application/problem+json"
    assert parse_contract(ProblemBody, answer.content, code).code == code


def test_a_line_of_the_audit_trail_fits(tmp_path: Any) -> None:
    path = tmp_path / "audit.jsonl"
    AuditTrail(path, SystemClock()).write("promotion", "push", "why", version="1.0.0", sha256="ab")
    line = parse_contract(AuditLine, path.read_bytes(), str(path))
    assert (line.what, line.version, line.model_extra) == ("promotion", "1.0.0", {"sha256": "ab"})
