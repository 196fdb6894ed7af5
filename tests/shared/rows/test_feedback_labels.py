"""What /feedback takes of a declared use case: ids and labels by the declaration."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.rows.feedback_labels import label_form, label_reader, stored_form
from shared.rows.row_store import DeclaredRowStore
from shared.rows.schema import Column, Kind, Roles, RowSchema
from shared.tasks import Task, encode_label

TEAMS = Task.multiclass(("accounts", "Billing desk", "1"))
ITEMS = Task.ranking(("rating_a", "rating_b", "rating_c"))
RIGHT: dict[str, tuple[Task, Any, Any]] = {
    "a class by its name": (TEAMS, "accounts", 0.0),
    "a class in another case": (TEAMS, " billing  DESK ", 1.0),
    "a class that is a number": (TEAMS, 1, 2.0),
    "a number as its float": (TEAMS, 1.0, 2.0),
    "the positive class": (Task.binary("left", "stayed"), "Left", 1.0),
    "a usual word": (Task.binary("left", "stayed"), "no", 0.0),
    "true": (Task.binary("left", "stayed"), True, 1.0),
    "yes where no is positive": (Task.binary("no", "not no"), "yes", 0.0),
    "no where no is positive": (Task.binary("no", "yes"), "no", 1.0),
    "zero where zero is positive": (Task.binary("0", "1"), 0, 1.0),
    "a value": (Task.regression(), -12.25, -12.25),
    "a value as text": (Task.regression(), " -12.5e1 ", -125.0),
    "a whole value": (Task.regression(), 7, 7.0),
    "ratings by item": (ITEMS, {"rating_a": 4, "rating_c": None}, (4.0, None, None)),
    "ratings in order": (ITEMS, [1, None, 0.5], (1.0, None, 0.5)),
}
WRONG: dict[str, tuple[Task, Any, str]] = {
    "an unknown class": (TEAMS, "secret person", "write one of accounts, Billing desk, 1"),
    "a usual word for many classes": (TEAMS, "yes", "write one of"),
    "a third class": (Task.binary("left", "stayed"), "maybe", "write one of stayed, left"),
    "two": (Task.binary("left", "stayed"), 2, "write one of"),
    "no label": (TEAMS, None, "write one of"),
    "a list for a class": (TEAMS, ["accounts"], "write one of"),
    "a word for a value": (Task.regression(), "twelve", "write a number"),
    "a comma in a value": (Task.regression(), "12,5", "write a number"),
    "a value that is none": (Task.regression(), "nan", "write a number"),
    "a text beyond any float": (Task.regression(), "1e999", "write a number"),
    "other digits": (Task.regression(), "\u0661\u0662", "write a number"),
    "true for a value": (Task.regression(), True, "write a number"),
    "a value without end": (Task.regression(), math.inf, "write a number"),
    "a value whose square is beyond any float": (Task.regression(), 1e308, "write a number"),
    "a value beyond the bounds, as text": (Task.regression(), "-1e31", "write a number"),
    "a whole number beyond any float": (Task.regression(), 10**400, "write a number"),
    "an unknown item": (ITEMS, {"secret person": 1}, "write a table of item to number"),
    "no rating at all": (ITEMS, {"rating_a": None}, "write a table of item to number"),
    "too few ratings": (ITEMS, [1, 2], "write a table of item to number"),
    "a rating beyond float32": (ITEMS, [1e300, 1, 1], "write a table of item to number"),
    "a rating beyond the bounds": (ITEMS, [1e31, 1, 1], "write a table of item to number"),
    "a rating as text": (ITEMS, ["4", 1, 1], "write a table of item to number"),
    "a text for ratings": (ITEMS, "abc", "write a table of item to number"),
}  # fmt: skip


def schema(task: Task, row_id: str | None = None) -> RowSchema:
    columns = tuple(Column(name, Kind.NUMBER, name) for name in ("rating_a", "rating_b"))
    return RowSchema("sample", 1, task, Roles(label="truth", row_id=row_id), columns)


@pytest.mark.parametrize("case", RIGHT)
def test_a_label_is_read_by_the_declaration(case: str) -> None:
    task, sent, wanted = RIGHT[case]
    assert label_reader(task)(sent) == wanted


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_label_is_refused_with_a_remedy_and_not_repeated(case: str) -> None:
    task, sent, remedy = WRONG[case]
    with pytest.raises(ValueError, match=": write ") as raised:
        label_reader(task)(sent)
    assert remedy in str(raised.value)
    assert "secret" not in str(raised.value)


@given(st.sampled_from(TEAMS.names))
def test_a_class_means_the_same_in_feedback_and_in_an_import(name: str) -> None:
    assert label_reader(TEAMS)(name) == encode_label(TEAMS, name)


@given(
    st.lists(st.none() | st.floats(-2.0**99, 2.0**99, width=32),
             min_size=3, max_size=3).filter(lambda sent: any(one is not None for one in sent))
)  # fmt: skip
def test_ratings_come_through_the_journals_json_as_an_import_has_them(sent: list[Any]) -> None:
    through_json = json.loads(json.dumps(label_reader(ITEMS)(sent)))
    assert stored_form(through_json) == np.asarray(encode_label(ITEMS, sent), "<f4").tobytes()


@pytest.mark.parametrize("field", ["ticket_no", "row_id", "transaction_id"])
def test_the_declared_name_of_the_id_and_the_general_ones_are_read(field: str) -> None:
    model = DeclaredRowStore(schema(TEAMS, "ticket_no")).feedback_request
    body = model.model_validate({"labels": [{field: "x" * 256, "label": "accounts"}]})
    assert body.labels[0].transaction_id == "x" * 256
    assert body.labels[0].label == 0.0


def test_a_missing_id_is_asked_for_by_the_name_of_the_use_case() -> None:
    model = DeclaredRowStore(schema(TEAMS, "ticket_no")).feedback_request
    with pytest.raises(ValidationError) as raised:
        model.model_validate({"labels": [{"label": "accounts"}]})
    assert raised.value.errors()[0]["loc"] == ("labels", 0, "ticket_no")


def test_an_id_that_is_called_like_a_field_of_a_label_goes_by_the_general_name() -> None:
    model = DeclaredRowStore(schema(TEAMS, "source")).feedback_request
    body = model.model_validate({"labels": [{"row_id": "r", "label": 1, "source": "desk"}]})
    assert (body.labels[0].transaction_id, body.labels[0].source) == ("r", "desk")


@pytest.mark.parametrize("task", [TEAMS, ITEMS, Task.regression(), Task.binary("left", "stayed")])
def test_the_example_of_the_docs_is_taken(task: Task) -> None:
    model = DeclaredRowStore(schema(task)).feedback_request
    example = model.model_json_schema()["examples"][0]
    assert model.model_validate(example).labels[0].transaction_id == "r-1"
    assert label_form(schema(task)).id_field == "row_id"
