"""Labels of several classes and of values, from the request to the table and to what is learned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import usecases
from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.server import Running
from tests.support.served_declared import declared_settings, drained, stored, tables_of_use_case


class Case(NamedTuple):
    """A use case, two labels of it as they are sent and stored, and what is none."""

    name: str
    first: tuple[Any, float]
    second: tuple[Any, float]
    wrong: Any
    remedy: str


CASES = (
    Case("tickets", ("Billing", 1.0), ("network", 3.0), "nobody", "accounts, billing"),
    Case("deliveries", (31.5, 31.5), (48, 48.0), "soon", "write a number"),
)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def settings(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return declared_settings(tmp_path_factory.mktemp(case.name), case.name)


@pytest.fixture(scope="module")
def server(case: Case, settings: Settings) -> Iterator[Running]:
    with Running(settings, usecases.load_serving(case.name)) as running:
        yield running


def score(server: Running, case: Case, row_id: str) -> None:
    body = next(iter(usecases.load_serving(case.name).routes[0].examples.values()))
    answer = server.client.post("/predict", json={**body, "row_id": row_id})
    assert answer.status_code == 200, answer.text


def send(server: Running, *labels: dict[str, Any]) -> Any:
    headers = server.bearer(Role.FEEDBACK)
    return server.client.post("/feedback", json={"labels": list(labels)}, headers=headers)


def test_labels_are_stored_as_the_declaration_reads_them_and_a_correction_is_counted(
    case: Case, server: Running, settings: Settings
) -> None:
    score(server, case, "r-1")
    drained(server)
    answer = send(server, {"row_id": "r-1", "label": case.first[0], "source": "desk"})
    assert answer.json() == {"stored": 1, "queued": 0, "unknown": []}
    row = stored(settings, tables_of_use_case(case.name), "r-1")
    assert row is not None
    assert (row["label"], row["label_source"]) == (case.first[1], "desk")
    corrected = send(server, {"transaction_id": "r-1", "label": case.second[0]})
    assert corrected.json() == {"stored": 1, "replaced": 1, "queued": 0, "unknown": []}
    row = stored(settings, tables_of_use_case(case.name), "r-1")
    assert row is not None
    assert row["label"] == case.second[1]


def test_a_label_waits_in_the_journal_for_its_decision(case: Case, tmp_path: Path) -> None:
    settings = declared_settings(tmp_path, case.name)
    slow = settings.model_copy(update={"journal_drain_seconds": 60.0})
    with Running(slow, usecases.load_serving(case.name)) as server:
        score(server, case, "waits")
        answer = send(server, {"row_id": "waits", "label": case.first[0]})
        assert answer.json() == {"stored": 0, "queued": 1, "unknown": []}
    with Running(settings, usecases.load_serving(case.name)) as server:
        drained(server)
    row = stored(settings, tables_of_use_case(case.name), "waits")
    assert row is not None
    assert row["label"] == case.first[1]


def test_what_is_no_label_is_refused_by_field_with_the_remedy(case: Case, server: Running) -> None:
    answer = send(server, {"row_id": "r-1", "label": case.wrong})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "labels.0.label"
    assert case.remedy in error["remedy"]


def test_an_unknown_row_is_named(case: Case, server: Running) -> None:
    answer = send(server, {"row_id": "ghost", "label": case.first[0]})
    assert answer.json() == {"stored": 0, "queued": 0, "unknown": ["ghost"]}


def test_the_docs_show_labels_of_this_use_case(case: Case, server: Running) -> None:
    schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
    (example,) = schemas["FeedbackRequest"]["examples"]
    assert send(server, *example["labels"]).status_code == 200
    assert "row_id" in schemas["LabelIn"]["properties"]
    assert "ransaction" not in str(schemas["FeedbackRequest"])
