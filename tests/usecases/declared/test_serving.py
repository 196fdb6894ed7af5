"""The serving half: a strict request made of the declaration, rows, vectors and answers."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from api.http.errors import field_problems
from shared.clock import to_micros
from shared.request_types import called_otherwise, known_later
from shared.usecase.serving import ServedModel
from tests.support.served_declared import CHURN
from usecases.declared.serving import DeclaredServing, RowFeatures, serving_of

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))
TOML = """
[use_case]
name = "churn"
task = "binary"
row_id = "key"
entity = "customer_id"
time = "as_of"
[label]
column = "churned"
positive = "yes"
negative = "no"
[columns]
charge = { kind = "number", min = 0, max = 1000 }
wide = "number"
contract = { kind = "category", values = ["month", "year"] }
payment = { kind = "category", required = false }
fibre = { kind = "flag", default = false }
last_call = { kind = "moment", required = false }
"""
BODY: dict[str, Any] = {
    "key": "row-1",
    "customer_id": "c-1",
    "as_of": "2026-05-31T00:00:00Z",
    "charge": 20.5,
    "wide": 7,
    "contract": "year",
    "payment": "card",
    "last_call": "2026-05-21T00:00:00+00:00",
}


@pytest.fixture
def use_case(tmp_path: Path) -> DeclaredServing:
    (tmp_path / "usecase.toml").write_text(TOML)
    return serving_of(tmp_path)


def faults(use_case: DeclaredServing, **changed: Any) -> str:
    body = {name: value for name, value in {**BODY, **changed}.items() if value is not ...}
    with pytest.raises(ValidationError) as raised:
        use_case.request_model.model_validate_json(json.dumps(body))
    return str(raised.value)


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown field": ({"chargee": 1.0}, ["chargee", "Extra inputs"]),
    "a number as text": ({"charge": "20.5"}, ["charge", "valid number"]),
    "not a number": ({"charge": float("nan")}, ["charge", "finite number"]),
    "an infinite number": ({"wide": float("inf")}, ["wide"]),
    "a number that no float32 holds": ({"wide": 1e308}, ["wide", "less than or equal to 1000"]),
    "a number beyond its bounds": ({"charge": -1}, ["charge", "greater than or equal to 0"]),
    "an undeclared word": ({"contract": "weekly"}, ["contract", "'month' or 'year'"]),
    "a flag that is a number": ({"fibre": 1}, ["fibre", "valid boolean"]),
    "a required column that is absent": ({"charge": ...}, ["charge", "Field required"]),
    "a required column that is null": ({"charge": None}, ["charge", "valid number"]),
    "a moment without a zone": ({"last_call": "2026-05-21T00:00:00"}, ["last_call", "timezone"]),
    "a moment as a number": ({"last_call": 1_700_000_000}, ["last_call", "RFC 3339"]),
    "an empty word": ({"payment": ""}, ["payment", "at least 1 character"]),
    "a word with a control character": ({"payment": "a\u0000b"}, ["payment", "pattern"]),
    "a true number": ({"charge": True}, ["charge", "valid number"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_request_that_does_not_fit_is_refused_by_the_name_of_the_field(
    use_case: DeclaredServing, name: str
) -> None:
    changed, parts = BAD[name]
    said = faults(use_case, **changed)
    for part in parts:
        assert part in said


def test_a_declared_word_means_the_same_in_any_unicode_form(tmp_path: Path) -> None:
    (tmp_path / "usecase.toml").write_text(TOML.replace('"year"', '"Köln"'))
    served = serving_of(tmp_path)
    for written in ("Köln", "Ko\u0308ln", " Köln "):
        request = served.request_model.model_validate_json(
            json.dumps({**BODY, "contract": written})
        )
        assert served.maker.row(request, NOW_US).values[2] == "Köln"
    assert "'month' or 'Köln'" in faults(served, contract="koln")
    schema = served.request_model.model_json_schema()["properties"]["contract"]
    assert (schema["enum"], schema["type"]) == (["month", "Köln"], "string")


def test_a_field_by_its_name_in_files_is_refused_with_its_name_here(tmp_path: Path) -> None:
    written = '[columns]\nsize = { kind = "number", from = "Größe (cm)" }\n'
    (tmp_path / "usecase.toml").write_text(
        TOML.replace("[columns]\n", written).replace("customer_id", "Customer ID")
    )
    model = serving_of(tmp_path).request_model
    sent = {**BODY, "customer_id": None, "Customer ID": "c", "größe (CM)": 3, "Churned": "yes"}
    with pytest.raises(ValidationError) as raised:
        model.model_validate_json(json.dumps(sent))
    problems = field_problems(raised.value.errors(), known_later(model), called_otherwise(model))
    remedies = {problem.field: problem.remedy for problem in problems}
    assert remedies["Customer ID"] == "the field is called entity here: send it so"
    assert remedies["größe (CM)"] == "the field is called size here: send it so"
    assert "POST /feedback" in remedies["Churned"]
    assert "/docs lists the known ones" in remedies["customer_id"]


def test_label_and_its_instant_are_known_only_after_a_request(tmp_path: Path) -> None:
    text = (CHURN / "usecase.toml").read_text()
    assert 'delay = "30d"' in text
    changed = text.replace('delay = "30d"', 'known_at = "confirmed_at"')
    (tmp_path / "usecase.toml").write_text(changed)
    model = serving_of(tmp_path).request_model
    assert known_later(model) == {"churned", "confirmed_at"}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"confirmed_at": "2026-01-05T10:15:00Z"})


def test_a_request_becomes_a_row_and_its_vector(use_case: DeclaredServing) -> None:
    request = use_case.request_model.model_validate(BODY)
    row = use_case.maker.row(request, NOW_US)
    assert (row.row_id, row.entity, row.ingested_at_us) == ("row-1", "c-1", NOW_US)
    assert row.values[:5] == (20.5, 7.0, "year", "card", False)
    vector = RowFeatures(use_case.row_schema).vector(row)
    assert use_case.feature_set.names == (
        "charge", "wide", "contract", "payment", "fibre", "last_call_age_days",
    )  # fmt: skip
    assert vector.dtype == np.float32
    assert vector[[0, 1, 2, 4, 5]].tolist() == [20.5, 7.0, 1.0, 0.0, 10.0]


def test_what_is_not_sent_takes_its_default(use_case: DeclaredServing) -> None:
    sent = {"charge": 1, "wide": 2, "contract": "month"}
    first, second = (
        use_case.maker.row(use_case.request_model.model_validate(sent), NOW_US) for _ in range(2)
    )
    assert first.event_time_us == NOW_US
    assert first.row_id != second.row_id
    assert first.entity != second.entity
    assert tuple(first.values[3:]) == (None, False, None)


def test_an_unseen_word_of_an_open_category_is_taken(use_case: DeclaredServing) -> None:
    body = {**BODY, "payment": "never seen before"}
    assert use_case.request_model.model_validate(body)


def test_a_row_far_ahead_is_refused_by_the_name_of_its_time(use_case: DeclaredServing) -> None:
    request = use_case.request_model.model_validate({**BODY, "as_of": "2026-06-03T00:00:00Z"})
    with pytest.raises(ValueError, match=r"as_of: .* more than one day after now"):
        use_case.maker.row(request, NOW_US)


def test_an_answer_has_the_class_the_probability_and_the_version(
    use_case: DeclaredServing,
) -> None:
    [route] = use_case.routes
    row = use_case.maker.row(use_case.request_model.model_validate(BODY), NOW_US)
    model = ServedModel("1.0.0", ("probability",), {"decision": 0.4})
    respond: Any = route.respond
    answer = respond(row, np.empty(0), np.array([0.5], dtype=np.float32), model)
    assert answer.body == {
        "key": "row-1", "prediction": "yes", "probability": 0.5, "version": "1.0.0",
    }  # fmt: skip
    assert (answer.score, answer.decision) == (0.5, "yes")
    route.response_model.model_validate(answer.body)


def test_examples_work_as_they_stand(use_case: DeclaredServing, tmp_path: Path) -> None:
    [route] = use_case.routes
    for body in route.examples.values():
        use_case.request_model.model_validate_json(json.dumps(body))
    kept = {"row 1": {"charge": 3.0, "wide": 1.0, "contract": "month"}, "old": {"gone": 1}}
    (tmp_path / "examples.json").write_text(json.dumps(kept))
    assert list(serving_of(tmp_path).routes[0].examples) == ["row 1"]
