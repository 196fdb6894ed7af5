"""A training takes what is best on rows it has not seen, within what a row may cost."""

from dataclasses import replace

import numpy as np
import pytest

from tests.usecases.fraud.training.examples import QUICK, blend, choice_among, example_rows, silent
from usecases.fraud.training.candidate import FraudTrainingRequest, train_candidate
from usecases.fraud.training.choosing import TrainingExamples, choose
from usecases.fraud.training.policy import FraudPolicy

POOR = blend(0.0, learning_rate=0.001, trees=1, max_positives=5, max_negatives=30)
GOOD = blend(0.0, trees=40, learning_rate=0.1)


def examples(rows: int = 3_000) -> TrainingExamples:
    matrix, labels = example_rows(rows, seed=1)
    return TrainingExamples(matrix, labels, (), seed=0)


@pytest.mark.parametrize("order", [("good", "poor"), ("poor", "good")])
def test_the_best_on_unseen_rows_is_taken_in_whatever_order_they_stand(
    order: tuple[str, str],
) -> None:
    named = {"good": GOOD, "poor": POOR}
    choice = choose(examples(), choice_among({name: named[name] for name in order}))
    assert choice.name == "good"
    table = choice.table
    assert table["good"].average_precision > table["poor"].average_precision
    assert choice.rows == 600


def test_the_baseline_is_taken_where_another_is_not_better_by_the_margin() -> None:
    named = {"good": GOOD, "poor": POOR}
    table = choose(examples(), choice_among(named)).table
    lead = table["good"].average_precision - table["poor"].average_precision
    for margin, taken in ((lead + 0.01, "poor"), (lead - 0.01, "good")):
        recipe = choice_among(named, baseline="poor", margin=margin)
        assert choose(examples(), recipe).name == taken


def test_nothing_is_taken_that_costs_a_row_too_much() -> None:
    recipe = choice_among({"good": GOOD, "poor": POOR}, max_node_visits=20)
    choice = choose(examples(), recipe)
    assert choice.table["good"].node_visits > 20 >= choice.table["poor"].node_visits
    assert choice.name == "poor"


def test_few_rows_are_judged_in_several_parts() -> None:
    recipe = choice_among({"good": GOOD}, parts=3, parts_from_rows=1_000, parts_to_rows=5_000)
    choice = choose(examples(), recipe)
    assert choice.rows == 1_800
    assert choice.newest == slice(2_400, 3_000)


def test_of_many_rows_the_newest_judge() -> None:
    choice = choose(examples(), choice_among({"good": GOOD}, max_validation_rows=200))
    assert choice.rows == 200
    assert choice.newest == slice(2_800, 3_000)


def test_where_the_newest_rows_cannot_judge_older_ones_do() -> None:
    given = examples()
    given.labels[-600:] = 0
    recipe = choice_among(
        {"poor": POOR, "good": GOOD}, parts=3, parts_from_rows=1, parts_to_rows=5_000
    )
    choice = choose(given, recipe)
    assert (choice.name, choice.rows) == ("good", 1_200)
    assert choice.newest_scores is None


def test_where_nothing_can_be_judged_the_first_is_taken() -> None:
    given = examples()
    given.labels[:-600] = 0
    choice = choose(given, choice_among({"poor": POOR, "good": GOOD}))
    assert (choice.name, choice.table) == ("poor", {})


def test_a_window_leaves_older_rows_out() -> None:
    given = examples()
    spoiled = replace(given, matrix=given.matrix.copy())
    spoiled.matrix[:1_000] = 0.0
    recent = GOOD.model_copy(update={"newest_share": 0.5})
    recipe = choice_among({"recent": recent})
    fresh, _ = example_rows(200, seed=5)
    whole, newer = (each.fitter(recipe).fit(recent).score(fresh) for each in (given, spoiled))
    np.testing.assert_array_equal(whole, newer)


def test_the_manifest_says_what_was_taken_and_how_all_did(
    ask: FraudTrainingRequest, policy: FraudPolicy
) -> None:
    recipe = replace(QUICK, classifier=choice_among({"good": GOOD, "poor": POOR}))
    found = train_candidate(replace(ask, recipe=recipe), silent).hyperparameters
    chosen = found["chosen"]
    assert chosen["candidate"] == "good"
    assert set(chosen["validation"]) == {"good", "poor"}
    assert set(found["classifier"]["candidates"]) == {"good", "poor"}
    best = max(each["average_precision"] for each in chosen["validation"].values())
    assert chosen["validation"]["good"]["average_precision"] == best


def test_plain_boosting_on_all_rows_is_among_the_shipped_candidates(policy: FraudPolicy) -> None:
    plain = policy.classifier.candidates["plain"]
    assert (plain.forest, plain.newest_share) == (None, 1.0)
    assert plain.boosting.rows.max_negatives >= 1_000_000
    for candidate in policy.classifier.candidates.values():
        deepest = candidate.boosting.trees * 8 + (40 * 14 if candidate.forest else 0)
        assert deepest <= policy.classifier.max_node_visits
