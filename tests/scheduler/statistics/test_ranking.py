"""Area, its variance and average precision, against scikit-learn and the definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from scheduler.statistics.measure import bootstrap_variance
from scheduler.statistics.ranking import PrecisionSlots, auc_with_influence
from scheduler.statistics.sample import Bools, Floats

TIED_ROWS = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=60)


def two_classes(rows: list[tuple[int, bool]]) -> bool:
    return len({positive for _, positive in rows}) == 2


def by_definition(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Placements of the paper: for each row the mean over pairs with the other class."""
    highs, lows = scores[positive][:, None], scores[~positive][None, :]
    wins = (highs > lows) + 0.5 * (highs == lows)
    return wins.mean(axis=1), wins.mean(axis=0)


@given(TIED_ROWS.filter(two_classes))
def test_the_area_is_that_of_scikit_learn_with_every_kind_of_tie(
    rows: list[tuple[int, bool]],
) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    positive = np.array([label for _, label in rows])
    area, influence = auc_with_influence(scores, positive)
    assert area == pytest.approx(roc_auc_score(positive, scores))
    assert influence.sum() == pytest.approx(0.0, abs=1e-12)


@given(TIED_ROWS.filter(two_classes))
def test_the_squares_of_the_terms_sum_to_delongs_variance(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    positive = np.array([label for _, label in rows])
    of_highs, of_lows = by_definition(scores, positive)
    expected = sum(
        float(np.var(part, ddof=1)) / len(part) if len(part) > 1 else 0.0
        for part in (of_highs, of_lows)
    )
    _, influence = auc_with_influence(scores, positive)
    assert np.square(influence).sum() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_rising_transform_of_the_scores_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = rng.normal(size=80), np.arange(80) < 20
    area, influence = auc_with_influence(scores, positive)
    same_area, same_influence = auc_with_influence(np.exp(scores / 4.0), positive)
    assert same_area == pytest.approx(area)
    np.testing.assert_allclose(same_influence, influence, atol=1e-12)


def test_delong_and_the_bootstrap_agree_on_the_error_of_a_difference() -> None:
    rng = np.random.default_rng(7)
    positive = np.arange(600) < 100
    common = rng.normal(size=600) + 1.2 * positive
    before, after = (common + 0.5 * rng.normal(size=600) for _ in range(2))

    def gain(weights: Floats) -> Floats:
        return np.array(
            [
                roc_auc_score(positive, after, sample_weight=column)
                - roc_auc_score(positive, before, sample_weight=column)
                for column in weights.T
            ]
        )

    rows = np.arange(600)
    by_bootstrap = bootstrap_variance(gain, rows, positive, 500, np.random.default_rng(1))
    influence = auc_with_influence(after, positive)[1] - auc_with_influence(before, positive)[1]
    by_delong = float(np.square(influence).sum())
    assert np.sqrt(by_bootstrap) == pytest.approx(np.sqrt(by_delong), rel=0.1)


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
