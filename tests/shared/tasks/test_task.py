"""Tasks: labels, answers, support, and what a canary compares."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tasks import (
    OUTLIER,
    LabelError,
    Task,
    TaskKind,
    answer_function,
    comparison_edges,
    comparison_value,
    encode_label,
    label_name,
    response_model,
    support_of,
)
from shared.tasks.observed import MAX_EDGES, bin_of, range_edges

CHURN = Task.binary(positive="yes", negative="no")
PLANS = Task.multiclass(["basic", "plus", "premium"])
PRICE = Task.regression()
GENRES = Task.ranking(["drama", "comedy", "crime"])
TASKS = (CHURN, PLANS, PRICE, GENRES)
finite = st.floats(-1e30, 1e30)


@pytest.mark.parametrize(
    ("task", "said", "stored"),
    [
        (CHURN, "yes", 1.0), (CHURN, " no ", 0.0), (CHURN, True, 1.0), (CHURN, 0, 0.0),
        (Task.binary("2", "1"), 1, 0.0), (Task.binary(), 1.0, 1.0), (Task.binary(), "0", 0.0),
        (PLANS, "premium", 2.0), (PRICE, 12, 12.0), (PRICE, -0.5, -0.5),
    ],
)  # fmt: skip
def test_a_label_is_stored_as_a_class_or_a_value(task: Task, said: object, stored: float) -> None:
    assert encode_label(task, said) == stored


def test_a_class_is_found_by_name_before_one_and_zero_mean_true_and_false() -> None:
    assert encode_label(Task.binary(positive="0", negative="1"), 1) == 0.0


@pytest.mark.parametrize(
    ("task", "said", "remedy"),
    [
        (CHURN, "maybe", "not one of no, yes"), (PLANS, 1, "not one of basic, plus, premium"),
        (PRICE, "12", "is a number"), (PRICE, math.nan, "finite"), (PRICE, True, "is a number"),
        (GENRES, {"horror": 1}, "'horror' is not one of"), (GENRES, [1, 2], "2 numbers for 3"),
        (GENRES, {}, "at least one item"), (GENRES, "drama", "one number for each item"),
        (CHURN, None, "not one of"),
    ],
)  # fmt: skip
def test_a_label_of_another_task_is_refused_with_what_would_fit(
    task: Task, said: object, remedy: str
) -> None:
    with pytest.raises(LabelError, match=remedy):
        encode_label(task, said)


def test_a_ranking_is_labelled_by_a_number_for_each_item_and_unknown_is_nan() -> None:
    by_name = encode_label(GENRES, {"comedy": 4.5})
    np.testing.assert_array_equal(by_name, np.array([np.nan, 4.5, np.nan], dtype=np.float32))
    np.testing.assert_array_equal(encode_label(GENRES, [None, 4.5, None]), by_name)


@given(st.sampled_from([CHURN, PLANS]), st.data())
def test_the_name_of_a_stored_class_is_stored_as_that_class(
    task: Task, data: st.DataObject
) -> None:
    stored = data.draw(st.integers(0, len(task.names) - 1))
    assert encode_label(task, label_name(task, stored)) == stored


@pytest.mark.parametrize(
    ("kind", "names", "remedy"),
    [
        (TaskKind.BINARY, ("a", "b", "c"), "use multiclass or regression"),
        (TaskKind.MULTICLASS, ("a",), "at least two"),
        (TaskKind.MULTICLASS, tuple(map(str, range(10_000))), "predict a number"),
        (TaskKind.MULTICLASS, ("a", "a"), "named twice"),
        (TaskKind.RANKING, ("a", ""), "need names"),
        (TaskKind.REGRESSION, ("a",), "no classes"),
    ],
)
def test_a_task_that_cannot_be_is_refused(
    kind: TaskKind, names: tuple[str, ...], remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        Task(kind, names)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("with_outlier", [False, True])
def test_every_answer_fits_its_schema(task: Task, with_outlier: bool) -> None:
    components = (*task.outputs, OUTLIER) if with_outlier else task.outputs
    outputs = [0.1 * (place + 1) for place in range(len(components))]
    body = answer_function(task, components, {OUTLIER: 0.5})(outputs)
    parsed = response_model(task)(**body).model_dump(exclude_none=True)
    assert parsed == body
    assert ("is_outlier" in body) is with_outlier


def test_the_answers_say_what_the_outputs_mean() -> None:
    assert answer_function(CHURN, CHURN.outputs, {"decision": 0.3})([0.3]) == {
        "prediction": "yes", "probability": 0.3,
    }  # fmt: skip
    plans = answer_function(PLANS, PLANS.outputs, {})([0.2, 0.5, 0.3])
    assert (plans["prediction"], plans["probability"]) == ("plus", 0.5)
    ranked = answer_function(GENRES, GENRES.outputs, {})([1.0, 3.0, 2.0])
    assert [entry["item"] for entry in ranked["items"]] == ["comedy", "crime", "drama"]


def test_a_version_of_another_task_is_not_answered_with() -> None:
    with pytest.raises(ValueError, match="binary model of 1 outputs"):
        answer_function(CHURN, PLANS.outputs, {})


def test_support_is_the_smallest_class_rows_or_entities() -> None:
    labels = np.array([0, 0, 1, 2, 2])
    assert support_of(PLANS, labels).count == 1
    assert support_of(CHURN, np.zeros(5)).count == 0
    assert support_of(PRICE, labels).count == 5
    assert support_of(GENRES, np.zeros((5, 3)), np.array([7, 7, 8, 8, 8])).count == 2


def test_predictions_far_from_zero_and_one_do_not_share_one_bin() -> None:
    rng = np.random.default_rng(0)
    champion = rng.normal(250.0, 5.0, 2_000)
    edges = comparison_edges(PRICE, np.quantile(champion, np.linspace(0.05, 0.95, 19)).tolist())
    shares = Counter(bin_of(edges, value) for value in champion)
    assert max(shares.values()) < 0.1 * len(champion)
    shifted = Counter(bin_of(edges, value) for value in champion + 400.0)
    assert not set(shifted) & set(shares)
    wider = Counter(bin_of(edges, value) for value in champion * 1.1)
    assert len(wider) > 1


@given(st.lists(finite, max_size=60))
def test_edges_rise_strictly_and_every_value_has_a_bin(reference: list[float]) -> None:
    edges = range_edges(reference)
    assert all(low < high for low, high in pairwise(edges))
    assert len(edges) <= MAX_EDGES
    assert 0 <= bin_of(edges, 1e300) <= len(edges)


@given(st.integers(2, 200), st.data())
def test_two_classes_are_never_counted_as_one_where_bins_suffice(
    classes: int, data: st.DataObject
) -> None:
    task = Task.multiclass([str(name) for name in range(classes)])
    edges = comparison_edges(task)
    assert len(edges) <= MAX_EDGES
    first, second = (data.draw(st.integers(0, classes - 1)) for _ in range(2))
    values = []
    for chosen in (first, second):
        outputs = [0.0] * classes
        outputs[chosen] = 1.0
        values.append(comparison_value(task, outputs))
    separated = bin_of(edges, values[0]) != bin_of(edges, values[1])
    assert separated or first == second or classes > MAX_EDGES
