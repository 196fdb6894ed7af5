"""Average precision under weights is scikit-learn's, without sorting again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from scheduler.statistics.ranking import PrecisionSlots

ROWS = st.lists(
    st.tuples(st.integers(-4, 4), st.booleans(), st.integers(0, 5)), min_size=2, max_size=60
)


@given(ROWS.filter(lambda rows: any(positive for _, positive, _ in rows)), st.integers(0, 999))
def test_weighted_average_precision_is_that_of_scikit_learn(
    rows: list[tuple[int, bool, int]], seed: int
) -> None:
    scores = np.array([score for score, _, _ in rows], dtype=np.float64)
    positive = np.array([label for _, label, _ in rows])
    codes = np.array([group for _, _, group in rows])
    drawn = np.random.default_rng(seed).integers(1, 4, size=(int(codes.max()) + 1, 3))
    weights = drawn.astype(np.float64)
    found = PrecisionSlots(scores, positive, codes).average_precision(weights)
    for column, value in enumerate(found):
        expected = average_precision_score(positive, scores, sample_weight=weights[codes, column])
        assert value == pytest.approx(expected)


def test_a_group_that_is_not_drawn_counts_for_nothing() -> None:
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    positive = np.array([True, False, True, False])
    weights = np.array([[1.0], [0.0], [1.0], [1.0]])
    slots = PrecisionSlots(scores, positive, np.arange(4))
    assert slots.average_precision(weights)[0] == pytest.approx(1.0)
