"""The service with the use case it ships with: real requests, features and rules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.server import Running
from tests.api.shipped import USE_CASE, running_shipped
from tests.api.tiny import count_rows

FULL = "/api/analyze-transaction"


@pytest.fixture(scope="module")
def shipped(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_shipped(template, tmp_path_factory.mktemp("shipped")) as server:
        yield server


def send(server: Running, path: str, body: Any) -> httpx.Response:
    return server.client.post(path, json=body)


def test_every_example_of_the_docs_works_as_it_stands(shipped: Running) -> None:
    paths = shipped.client.get("/openapi.json").json()["paths"]
    tried = 0
    for route in USE_CASE.routes:
        for path in filter(None, (route.path, route.batch_path)):
            content = paths[path]["post"]["requestBody"]["content"]["application/json"]
            for example in content["examples"].values():
                answer = send(shipped, path, example["value"])
                assert answer.status_code == 200, answer.text
                assert answer.headers["X-Model-Version"] == "1.0.0"
                tried += 1
    assert tried >= 3


@pytest.mark.parametrize("route", USE_CASE.routes, ids=lambda route: route.path)
def test_answers_have_the_documented_shape(shipped: Running, route: Any) -> None:
    for example in route.examples.values():
        answer = send(shipped, route.path, example)
        parsed = route.response_model.model_validate_json(answer.content)
        assert set(answer.json()) <= set(type(parsed).model_fields)


def test_four_fields_are_enough(shipped: Running) -> None:
    body = {
        "amount": 42.5,
        "transaction_type": "purchase",
        "transaction_time": 14,
        "location_region": "DE",
    }
    for path in ("/predict", FULL):
        assert send(shipped, path, body).status_code == 200


def test_a_retry_gets_the_same_bytes_and_counts_once(shipped: Running) -> None:
    body = {"amount": 900.0, "user_id": "u", "merchant_id": "m", "transaction_id": "retried"}
    first = send(shipped, FULL, body)
    shipped.drained()
    rows = count_rows(shipped.service.database.engine)
    again = send(shipped, FULL, body)
    assert again.content == first.content
    shipped.drained()
    assert count_rows(shipped.service.database.engine) == rows


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"amount": -1}', "amount"),
        (b'{"amount": NaN}', "amount"),
        (b'{"amount": "12"}', "amount"),
        (b'{"amount": 1, "transaction_type": "gift"}', "transaction_type"),
        (b'{"amount": 1, "currency": "ZZZ"}', "currency"),
        (b'{"amount": 1, "event_time": "2026-01-01T00:00:00"}', "event_time"),
        (b'{"amount": 1, "event_time": "2999-01-01T00:00:00Z"}', "event_time"),
        (b'{"amount": 1, "event_time": 1700000000}', "event_time"),
        (b'{"amount": 1, "lat": 50.0}', "lat"),
        (b'{"amount": 1, "lat": 1e999, "lon": 0}', "lat"),
        (b'{"amount": 1, "user_id": "a\\u0000b"}', "user_id"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", FULL])
def test_bad_input_is_told_by_field_with_a_remedy(
    shipped: Running, path: str, body: bytes, field: str
) -> None:
    answer = shipped.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert error["problem"]
    assert error["remedy"]
