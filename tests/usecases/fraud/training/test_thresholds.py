"""Thresholds: review before block, block only where it is precise."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from usecases.fraud.training.metrics import classifier_thresholds, outlier_threshold
from usecases.fraud.training.policy import ThresholdPolicy

POLICY = ThresholdPolicy(block_precision=0.9, review_share=0.1, outlier_share=0.01)


def test_block_is_the_lowest_score_that_is_precise_enough() -> None:
    scores = np.linspace(1, 100, 100) / 101
    labels = (scores > 0.8).astype(np.int8)
    found = classifier_thresholds(scores, labels, POLICY)
    blocked = scores >= found["block"]
    assert labels[blocked].mean() >= 0.9
    assert labels[scores >= found["block"] - 0.01].mean() < 0.9


def test_review_takes_its_share_of_the_traffic() -> None:
    scores = np.arange(1000) / 1000
    labels = (scores > 0.99).astype(np.int8)
    found = classifier_thresholds(scores, labels, POLICY)
    assert np.mean(scores >= found["review"]) == 0.1


def test_a_classifier_that_is_never_precise_blocks_cautiously() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random(500), rng.integers(0, 2, 500).astype(np.int8)
    assert classifier_thresholds(scores, labels, POLICY)["block"] == 0.9


def test_a_lucky_top_row_is_not_precision() -> None:
    scores = np.array([0.99, 0.5, 0.4, 0.3, 0.2, 0.1])
    labels = np.array([1, 0, 0, 0, 0, 0], dtype=np.int8)
    assert classifier_thresholds(scores, labels, POLICY)["block"] == 0.9


def test_equal_scores_are_blocked_together_or_not_at_all() -> None:
    scores = np.array([0.9] * 10 + [0.1] * 10)
    labels = np.array([1] * 5 + [0] * 15, dtype=np.int8)
    assert classifier_thresholds(scores, labels, POLICY)["block"] == 0.9


@given(
    st.lists(
        st.tuples(st.floats(0, 1, allow_nan=False), st.integers(0, 1)), min_size=0, max_size=60
    )
)
def test_thresholds_are_probabilities_in_order(rows: list[tuple[float, int]]) -> None:
    scores = np.array([score for score, _ in rows])
    labels = np.array([label for _, label in rows], dtype=np.int8)
    found = classifier_thresholds(scores, labels, POLICY)
    assert 0 < found["review"] <= found["block"] < 1


def test_an_outlier_is_beyond_almost_all_usual_rows() -> None:
    scores = np.arange(1000, dtype=np.float64)
    assert np.mean(scores > outlier_threshold(scores, POLICY)) == 0.01
