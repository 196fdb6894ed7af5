"""What /docs says is what happens."""

from typing import Any

import pytest

from shared.keys.tokens import Role
from tests.api.server import Running

STATUSES = {
    "/score": {"200", "401", "403", "409", "429", "413", "415", "422", "500", "503"},
    "/feedback": {"200", "401", "403", "429", "413", "415", "422", "500", "503"},
    "/update_model": {"200", "401", "403", "429", "409", "413", "415", "422", "500"},
    "/rollback_model": {"200", "401", "403", "429", "404", "409", "413", "415", "422", "500"},
    "/api/mlops/trigger-retraining": {"202", "401", "403", "429", "500", "503"},
}
# Made before a route is found, and documented once.
ANYWHERE = {"400", "403", "408", "414", "421", "431", "503"}
ROLES = {
    "/feedback": Role.FEEDBACK,
    "/rollback_model": Role.OPERATOR,
    "/revoke_model": Role.OPERATOR,
    "/update_rollout": Role.PUSH,
    "/approve_model": Role.OPERATOR,
    "/refuse_model": Role.OPERATOR,
    "/api/mlops/schedule": Role.OPERATOR,
    "/api/mlops/force-retraining": Role.OPERATOR,
    "/api/mlops/replays": Role.OPERATOR,
    "/api/mlops/runs/{run_id}/cancel": Role.OPERATOR,
    "/alert": Role.ALERT,
}
# There is nothing to roll back to in this service, no such version, and nothing on trial.
REFUSED = {
    "/api/mlops/force-retraining": 202,
    "/api/mlops/replays": 202,
    "/rollback_model": 409,
    "/revoke_model": 404,
    "/update_rollout": 409,
    "/approve_model": 409,
    "/refuse_model": 409,
    "/api/mlops/runs/{run_id}/cancel": 404,
}


@pytest.fixture(scope="module")
def schema(steady: Running) -> dict[str, Any]:
    answer = steady.client.get("/openapi.json")
    assert answer.status_code == 200
    page = steady.client.get("/docs")
    assert page.status_code == 200
    # What a browser shows without JavaScript.
    assert '<a href="/openapi.json">/openapi.json</a>' in page.text
    found: dict[str, Any] = answer.json()
    return found


def bodies(operation: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Every example of a JSON request body, wherever the docs keep it."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    found = [example["value"] for example in content.get("examples", {}).values()]
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    found += schema["components"]["schemas"].get(name, {}).get("examples", [])
    return found


def test_every_example_works_as_it_stands(steady: Running, schema: dict[str, Any]) -> None:
    tried = set()
    for path, operations in schema["paths"].items():
        for body in bodies(operations.get("post", {}), schema):
            role = ROLES.get(path)
            headers = {} if role is None else steady.bearer(role)
            address = path.replace("{run_id}", "999999")
            answer = steady.client.post(address, json=body, headers=headers)
            assert answer.status_code == REFUSED.get(path, 200), answer.text
            tried.add(path)
    assert tried == {"/score", "/score/batch", "/decide", *ROLES}


def resolved(response: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The response, or the shared one that it refers to."""
    name = response.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema["components"]["responses"][name] if name else response
    return found


def test_every_operation_has_the_answers_that_come_before_any_route(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            wanted = ANYWHERE - ({"403"} if method == "get" else set())
            assert wanted <= set(operation["responses"]), path
    refused = schema["paths"]["/rollback_model"]["post"]["responses"]["403"]
    examples = refused["content"]["application/problem+json"]["examples"]
    assert {"wrong-role", "foreign-origin"} <= set(examples)


@pytest.mark.parametrize("path", sorted(STATUSES))
def test_every_status_a_route_can_answer_is_documented(schema: dict[str, Any], path: str) -> None:
    responses = schema["paths"][path]["post"]["responses"]
    assert set(responses) == STATUSES[path] | ANYWHERE
    for status, found in responses.items():
        if int(status) >= 400:
            response = resolved(found, schema)
            assert set(response["content"]) == {"application/problem+json"}
            assert response["description"]


def test_the_docs_name_every_reference_they_use(schema: dict[str, Any]) -> None:
    names = set(schema["components"]["schemas"])
    used = {part.split('"')[0] for part in str(schema).replace("'", '"').split("schemas/")[1:]}
    assert used <= names


def test_the_docs_say_which_credentials_a_route_takes(schema: dict[str, Any]) -> None:
    assert schema["paths"]["/update_model"]["post"]["security"] == [{"push": []}]
    assert schema["paths"]["/api/mlops/trigger-retraining"]["post"]["security"] == [{"basic": []}]
    assert {"push", "operator", "alert", "basic"} <= set(schema["components"]["securitySchemes"])


def test_the_answer_of_a_row_has_the_documented_shape(
    steady: Running, schema: dict[str, Any]
) -> None:
    answer = steady.score(amount=1.0).json()
    shape = schema["components"]["schemas"]["TinyAnswer"]
    assert set(answer) == set(shape["properties"]) == set(shape["required"])
