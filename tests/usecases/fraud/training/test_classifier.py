"""The classifier learns from a draw of the rows, and its probabilities are still of all rows."""

import numpy as np
import pytest

from tests.usecases.fraud.training.examples import blend, example_rows
from usecases.fraud.training.classifier import fit_classifier
from usecases.fraud.training.recipe import ClassifierRecipe

SMALL = blend(learning_rate=0.05)
ALONE = blend(0.0, learning_rate=0.05)
FEW_NEGATIVES = blend(
    learning_rate=0.05, negatives_per_positive=4, min_negatives=100, max_negatives=600
)


@pytest.mark.parametrize("recipe", [SMALL, ALONE, FEW_NEGATIVES])
def test_the_mean_probability_is_the_share_of_positives(recipe: ClassifierRecipe) -> None:
    matrix, labels = example_rows(6_000, seed=3)
    fresh, truth = example_rows(6_000, seed=4)
    scores = fit_classifier(matrix, labels, recipe, seed=0).score(fresh)
    assert scores.mean() == pytest.approx(truth.mean(), rel=0.25)


def test_only_the_newest_positives_and_their_time_are_learned_from() -> None:
    recipe = blend(max_positives=60)
    matrix, labels = example_rows(6_000, seed=3)
    first = np.flatnonzero(labels == 1)[-60]
    spoiled = matrix.copy()
    spoiled[:first] = 0.0
    fresh, _ = example_rows(500, seed=4)
    kept = fit_classifier(matrix, labels, recipe, seed=0).score(fresh)
    np.testing.assert_array_equal(
        kept, fit_classifier(spoiled, labels, recipe, seed=0).score(fresh)
    )


def test_more_positives_than_wanted_with_no_negative_since_still_train() -> None:
    recipe = blend(trees=5, max_positives=20)
    matrix, _ = example_rows(300, seed=3)
    labels = (np.arange(300) >= 250).astype(np.int8)
    scores = fit_classifier(matrix, labels, recipe, seed=0).score(matrix)
    assert np.isfinite(scores).all()
