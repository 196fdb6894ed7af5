"""A use case that is only declared, served: strict requests, decisions that are kept in its own
tables, ids that count once, labels, and restarts. No column of another use case takes part."""

from collections.abc import Iterator

import numpy as np
import pytest

import usecases
from api.journal.entries import RecordFormat
from api.settings import Settings
from shared.keys.tokens import Role
from shared.rows.tables import RowTables
from tests.api.server import Running
from tests.support.served_declared import (
    BODY,
    NAMED,
    churn_settings,
    drained,
    stored,
    tables_of_use_case,
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return churn_settings(tmp_path_factory.mktemp("churn"))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Running]:
    with Running(settings, usecases.load_serving("churn")) as running:
        yield running


@pytest.fixture
def tables() -> RowTables:
    return tables_of_use_case("churn")


def test_a_row_is_answered_and_kept_in_the_tables_of_its_use_case(
    server: Running, settings: Settings, tables: RowTables
) -> None:
    answer = server.client.post("/predict", json={**NAMED, "row_id": "kept"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["row_id"] == "kept"
    assert told["prediction"] in ("yes", "no")
    assert 0 <= told["probability"] <= 1
    drained(server)
    row = stored(settings, tables, "kept")
    assert row is not None
    assert (row["entity"], row["contract"], row["has_fibre"]) == ("c-1", "month", 1)
    assert row["decision"] == told["prediction"]
    assert row["score"] == pytest.approx(told["probability"])
    vector = np.frombuffer(row["feature_vector"], dtype="<f4")
    assert vector[:2].tolist() == [3.0, 95.5]


def test_an_id_that_was_decided_counts_once_whatever_it_is_called(server: Running) -> None:
    body = {**NAMED, "row_id": "once"}
    first = server.client.post("/predict", json=body).json()
    assert server.client.post("/predict", json=body).json() == first
    other = server.client.post("/predict", json={**body, "monthly_charges": 1.5})
    assert other.status_code == 409
    assert "row_id was decided before with another monthly_charges" in other.json()["detail"]
    drained(server)
    assert server.client.post("/predict", json=body).json() == first
    stranger = server.client.post("/predict", json={**body, "customer_id": "c-2"})
    assert "another customer_id" in stranger.json()["detail"]


def test_the_same_id_twice_in_one_batch_is_one_row(server: Running) -> None:
    body = {**NAMED, "row_id": "twice"}
    answer = server.client.post("/predict/batch", json={"instances": [body, body, BODY]}).json()
    told = answer["predictions"]
    assert told[0] == told[1]
    assert told[2]["row_id"] != "twice"


BAD = {
    "an unknown field": ({**BODY, "tenure": 1}, "tenure"),
    "an undeclared word": ({**BODY, "contract": "weekly"}, "contract"),
    "a number as text": ({**BODY, "monthly_charges": "95.5"}, "monthly_charges"),
    "a number beyond any float32": ({**BODY, "monthly_charges": 1e308}, "monthly_charges"),
    "a missing column": ({name: BODY[name] for name in BODY if name != "payment"}, "payment"),
    "a row far in the future": ({**BODY, "as_of": "2999-01-01T00:00:00Z"}, "as_of"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_by_the_name_of_the_field(server: Running, name: str) -> None:
    body, field = BAD[name]
    answer = server.client.post("/predict", json=body)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_the_label_in_a_request_is_refused_with_the_way_to_report_it(server: Running) -> None:
    body = {**BODY, "churned": "yes"}
    alone = server.client.post("/predict", json=body)
    rows = {"instances": [BODY, body]}
    _, second = server.client.post("/predict/batch", json=rows).json()["predictions"]
    assert alone.status_code == second["error"]["status"] == 422
    (found,) = alone.json()["errors"]
    assert second["error"]["errors"] == [found]
    assert found["field"] == "churned"
    assert "known only after" in found["problem"]
    assert "/feedback" in found["remedy"]


def test_not_a_number_is_refused_by_the_name_of_the_field(server: Running) -> None:
    raw = (
        b'{"tenure_months": NaN, "monthly_charges": 1, "contract": "month", "payment": "card", '
        b'"has_fibre": true, "support_calls": 1}'
    )
    headers = {"Content-Type": "application/json"}
    answer = server.client.post("/predict", content=raw, headers=headers)
    assert answer.status_code == 422
    assert "tenure_months" in answer.text


def test_a_label_reaches_its_row(server: Running, settings: Settings, tables: RowTables) -> None:
    server.client.post("/predict", json={**NAMED, "row_id": "labelled"})
    drained(server)
    labels = [{"transaction_id": "labelled", "label": "yes"}, {"transaction_id": "x", "label": 0}]
    headers = server.bearer(Role.FEEDBACK)
    answer = server.client.post("/feedback", json={"labels": labels}, headers=headers).json()
    assert (answer["stored"], answer["unknown"]) == (1, ["x"])
    row = stored(settings, tables, "labelled")
    assert row is not None
    assert (row["label"], row["label_source"]) == (1.0, "feedback")


def test_examples_of_the_docs_work_as_they_stand(server: Running) -> None:
    page = server.client.get("/openapi.json").json()
    content = page["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    examples = [one["value"] for one in content["examples"].values()]
    assert len(examples) == 3
    for body in examples:
        assert server.client.post("/predict", json=body).status_code == 200


def test_records_of_the_journal_are_read_back_to_the_last_bit() -> None:
    use_case = usecases.load_serving("churn")
    records = RecordFormat(usecases.row_store("churn"))
    request = use_case.request_model.model_validate(NAMED)
    row = use_case.to_transaction(request, 1_700_000_000_000_000)
    again = records.rows.row(dict(zip(records.columns, records.rows.values(row), strict=False)))
    assert again == row
