"""Words that a classifier knows: the same places in Python and in the graph, and one for others."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.export.parity import TOLERANCE, run_graph
from tests.usecases.fraud.training.examples import (
    CATEGORY,
    CODES,
    COUNTRY,
    NEVER,
    QUICK,
    RARE,
    RISKY,
    USUAL,
    blend,
    choice_among,
    silent,
    with_category,
    worded_rows,
)
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.features.categories import MERCHANT_CATEGORIES
from usecases.fraud.training.candidate import (
    FraudTrainingRequest,
    fit_components,
    parity_of,
    train_candidate,
)
from usecases.fraud.training.policy import FraudPolicy
from usecases.fraud.training.recipe import WordsRecipe
from usecases.fraud.training.words import UNKNOWN, fit_vocabulary

WORDS = WordsRecipe(min_rows=20, max_words=50, prior_rows=50)


@pytest.fixture(scope="module")
def worded(policy: FraudPolicy) -> FraudTrainingRequest:
    matrix, labels = worded_rows(3_000, seed=1)
    return FraudTrainingRequest(
        matrix=matrix,
        labels=labels,
        feature_names=FEATURE_SET.names,
        feature_set_version=FEATURE_SET.version,
        thresholds=policy.thresholds,
        seed=0,
        recipe=QUICK,
    )


@pytest.fixture(scope="module")
def graph(worded: FraudTrainingRequest) -> bytes:
    return train_candidate(worded, silent).files["model.onnx"]


def test_risky_words_come_last_and_others_have_one_place() -> None:
    matrix, labels = worded_rows(3_000, seed=1)
    found = fit_vocabulary(matrix, labels, list(CODES), WORDS)
    assert set(found.columns) == {CATEGORY, COUNTRY}
    assert set(found.silent) == set(CODES) - {CATEGORY, COUNTRY}
    rows = np.vstack([with_category(matrix[:1], code) for code in (USUAL, RISKY, RARE, NEVER)])
    places = found.look_up(rows)[:, found.columns.tolist().index(CATEGORY)]
    assert places.tolist() == [0.0, 1.0, UNKNOWN, UNKNOWN]
    nothing = found.look_up(with_category(matrix[:1], np.nan))
    assert nothing[0, found.columns.tolist().index(CATEGORY)] == UNKNOWN


def test_the_word_decides_where_nothing_else_does(
    worded: FraudTrainingRequest, graph: bytes
) -> None:
    rows = worded_rows(200, seed=9)[0]
    risky = run_graph(graph, with_category(rows, RISKY))[:, 0]
    usual = run_graph(graph, with_category(rows, USUAL))[:, 0]
    assert np.median(risky) > 10 * np.median(usual)


@settings(max_examples=25, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=4))
def test_all_words_that_nobody_has_seen_are_one_word_with_a_finite_score(
    graph: bytes, words: list[str]
) -> None:
    rows = worded_rows(20, seed=9)[0]
    known = {"casino", "bakery"}
    scores = [
        run_graph(graph, with_category(rows, MERCHANT_CATEGORIES[word]))
        for word in words
        if word not in known
    ]
    expected = run_graph(graph, with_category(rows, NEVER))
    for found in scores:
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_the_graph_reads_words_as_the_fitted_models_do(
    worded: FraudTrainingRequest, share: float
) -> None:
    recipe = replace(QUICK, classifier=choice_among({"only": blend(share)}))
    ask = replace(worded, recipe=recipe)
    fitted = fit_components(ask, silent)
    rows = worded_rows(500, seed=5)[0]
    for at, code in enumerate((RISKY, USUAL, RARE, NEVER, np.nan, 0.0, -1.0, 1e9)):
        rows[at * 50 : (at + 1) * 50, CATEGORY] = code
    parity = parity_of(fitted, train_candidate(ask, silent).files["model.onnx"], rows)
    assert parity.differing_rows == 0
    assert parity.largest_difference <= TOLERANCE


def test_without_words_the_graph_has_no_look_up(worded: FraudTrainingRequest) -> None:
    kept = [at for at in range(len(worded.feature_names)) if at not in CODES]
    plain = replace(
        worded,
        matrix=np.ascontiguousarray(worded.matrix[:, kept]),
        feature_names=tuple(worded.feature_names[at] for at in kept),
    )
    for ask, wanted in ((worded, 1), (plain, 0)):
        model = onnx.load_from_string(train_candidate(ask, silent).files["model.onnx"])
        operators = [node.op_type for node in model.graph.node]
        assert operators.count("LabelEncoder") == wanted
