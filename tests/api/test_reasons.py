"""Reasons over HTTP: they add up to the answer, and have the values that the caller sent."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import usecases
from api.settings import Settings
from tests.api.server import Running
from tests.support.served_declared import BODY, NAMED, churn_settings

ALL = 20


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return churn_settings(tmp_path_factory.mktemp("reasons"))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Running]:
    with Running(settings, usecases.load_serving("churn")) as running:
        yield running


def asked(server: Running, body: dict[str, Any], query: str = f"?reasons={ALL}") -> dict[str, Any]:
    answer = server.client.post(f"/predict{query}", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize("change", [{}, {"contract": "two years"}, {"tenure_months": 70}])
def test_all_contributions_and_the_expected_score_make_the_log_odds_of_the_answer(
    server: Running, change: dict[str, Any]
) -> None:
    told = asked(server, {**BODY, **change})
    log_odds = math.log(told["probability"] / (1 - told["probability"]))
    contributions = [one["contribution"] for one in told["reasons"]]
    assert sum(contributions) + told["expected_raw_score"] == pytest.approx(log_odds, abs=1e-4)
    assert told["raw_score"] == pytest.approx(log_odds, abs=1e-4)
    assert [abs(one) for one in contributions] == sorted(map(abs, contributions), reverse=True)


def test_reasons_name_columns_with_the_values_of_the_request(server: Running) -> None:
    body = {**BODY, "last_call": "2026-01-05T10:15:00Z"}
    told = {one["feature"]: one["value"] for one in asked(server, body)["reasons"]}
    assert told.pop("last_call", body["last_call"])[:19] == body["last_call"][:19]
    assert len(told) >= 4
    assert told == {name: body[name] for name in told}
    assert isinstance(told.get("has_fibre", True), bool)
    missing = {one["feature"]: one["value"] for one in asked(server, BODY)["reasons"]}
    assert missing.get("last_call") is None


def test_as_many_are_told_as_are_asked_for_and_three_by_declaration(server: Running) -> None:
    assert len(asked(server, BODY, "?reasons=1")["reasons"]) == 1
    assert len(asked(server, BODY, "?reasons")["reasons"]) == 3
    assert "reasons" not in asked(server, BODY, "?reasons=0")
    assert "reasons" not in asked(server, BODY, "")


def test_a_row_that_comes_again_gets_its_answer_and_its_reasons_again(server: Running) -> None:
    body = {**NAMED, "row_id": "explained"}
    plain = asked(server, body, "")
    told = asked(server, body)
    assert told == asked(server, body)
    assert {name: told[name] for name in plain} == plain


@pytest.mark.parametrize("query", ["21", "-1", "x", "1&reasons=2"])
def test_a_number_that_cannot_be_told_is_refused_with_the_limit(
    server: Running, query: str
) -> None:
    answer = server.client.post(f"/predict?reasons={query}", json=BODY)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "reasons"
    assert "20" in answer.json()["errors"][0]["remedy"]


def explained(server: Running, rows: list[Any], query: str = f"?reasons={ALL}") -> list[Any]:
    answer = server.client.post(f"/predict/batch{query}", json={"instances": rows})
    assert answer.status_code == 200, answer.text
    told: list[Any] = answer.json()["predictions"]
    return told


def test_each_row_of_a_batch_has_the_reasons_it_has_alone(server: Running) -> None:
    rows = [
        {**NAMED, "row_id": f"of-a-batch-{at}", "support_calls": at % 7, "tenure_months": at}
        for at in range(70)
    ]
    told = explained(server, rows)
    assert told[:9] == [asked(server, row) for row in rows[:9]]
    for one in told:
        total = sum(reason["contribution"] for reason in one["reasons"])
        assert total + one["expected_raw_score"] == pytest.approx(one["raw_score"])
        log_odds = math.log(one["probability"] / (1 - one["probability"]))
        assert one["raw_score"] == pytest.approx(log_odds, abs=1e-4)


def test_rows_of_a_batch_without_the_option_or_with_none_asked_for_have_no_reasons(
    server: Running,
) -> None:
    assert "reasons" not in explained(server, [BODY], "")[0]
    assert "reasons" not in explained(server, [BODY], "?reasons=0")[0]
    assert len(explained(server, [BODY], "?reasons")[0]["reasons"]) == 3


def test_a_bad_row_of_a_batch_has_its_error_and_the_others_their_reasons(server: Running) -> None:
    first, bad, last = explained(server, [BODY, {**BODY, "tenure_months": "x"}, BODY])
    assert bad["index"] == 1
    assert bad["error"]["errors"][0]["field"] == "tenure_months"
    assert first["reasons"] == last["reasons"] == asked(server, BODY)["reasons"]


def test_a_batch_of_more_rows_than_are_explained_is_refused_whole_with_the_limit(
    server: Running, settings: Settings
) -> None:
    most = settings.explained_batch_max_rows
    rows = [{**BODY, "row_id": f"too-many-{at}"} for at in range(most + 1)]
    answer = server.client.post("/predict/batch?reasons=1", json={"instances": rows})
    assert answer.status_code == 422
    assert f"at most {most} rows" in answer.json()["detail"]
    assert len(explained(server, rows[:most], "?reasons=1")) == most


def test_the_option_and_its_fields_are_documented(server: Running) -> None:
    page = server.client.get("/openapi.json").json()
    operation = page["paths"]["/predict"]["post"]
    (option,) = operation["parameters"]
    assert (option["name"], option["schema"]["maximum"]) == ("reasons", 20)
    name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    fields = page["components"]["schemas"][name.rsplit("/", 1)[1]]["properties"]
    assert {"reasons", "raw_score", "expected_raw_score"} <= set(fields)
    batch = page["paths"]["/predict/batch"]["post"]
    assert "with at most 100 rows" in batch["parameters"][0]["description"]
    of_batch = batch["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    predictions = page["components"]["schemas"][of_batch.rsplit("/", 1)[1]]["properties"]
    shown = predictions["predictions"]["items"]["anyOf"]
    assert {"$ref": name} in shown
    conflicts = operation["responses"]["409"]["content"]["application/problem+json"]["examples"]
    assert "no-reasons" in conflicts


def test_a_version_without_trees_says_so_before_it_decides(tmp_path: Path) -> None:
    width = len(usecases.load_serving("churn").feature_set.names)
    weights = np.full(width, 0.01, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weights"], ["raw"]),
            helper.make_node("Sigmoid", ["raw"], ["scores"]),
        ],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("weights", TensorProto.FLOAT, [width, 1], weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    settings = churn_settings(tmp_path, {"model.onnx": model.SerializeToString()})
    with Running(settings, usecases.load_serving("churn")) as server:
        answer = server.client.post("/predict?reasons=3", json={**NAMED, "row_id": "linear"})
        assert answer.status_code == 409, answer.text
        assert answer.json()["type"].endswith("no-reasons")
        assert "send the request without ?reasons" in answer.json()["detail"]
        rows = {"instances": [{**NAMED, "row_id": "linear"}]}
        many = server.client.post("/predict/batch?reasons=3", json=rows)
        assert (many.status_code, many.json()["type"]) == (409, answer.json()["type"])
        assert server.service.journaling.journal.backlog == 0
        known = {**NAMED, "last_call": "2026-01-05T10:15:00Z"}
        assert server.client.post("/predict", json=known).status_code == 200
