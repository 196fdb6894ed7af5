"""The autoencoder ends near where it ends with any other seed."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from shared.usecase.serving import FloatMatrix
from usecases.fraud.training.autoencoder import fit_autoencoder
from usecases.fraud.training.recipe import AutoencoderRecipe

RECIPE = AutoencoderRecipe()


def rows(count: int, seed: int) -> FloatMatrix:
    """Three hidden causes behind nine numbers, as amounts and rates have."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((count, 3)) * (3.0, 2.0, 1.2)
    mixing = np.random.default_rng(0).standard_normal((3, 9))
    return (causes @ mixing + rng.standard_normal((count, 9))).astype(np.float32)


def test_seeds_agree_about_what_is_unusual() -> None:
    train, fresh = rows(5_000, seed=1), rows(2_000, seed=2)
    scores = [fit_autoencoder(train, range(9), RECIPE, seed).score(fresh) for seed in range(4)]
    for one, other in combinations(scores, 2):
        assert spearmanr(one, other).statistic > 0.95
        top = [set(np.argsort(-each)[:40].tolist()) for each in (one, other)]
        assert len(top[0] & top[1]) >= 30


@pytest.mark.parametrize("columns", [1, 2, 9])
def test_it_learns_of_however_few_features_are_switched_on(columns: int) -> None:
    train = rows(500, seed=1)
    found = fit_autoencoder(train, range(columns), RECIPE, 0).score(train)
    assert np.isfinite(found).all()
