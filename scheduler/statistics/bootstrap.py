"""A stratified bootstrap of groups of rows, as weights: a group drawn twice weighs two.

Groups with a positive and groups without are drawn separately, so that no resample
runs out of positives by accident. With every row its own group this is the row bootstrap
stratified by label.
"""

from collections.abc import Callable, Iterator

import numpy as np

from scheduler.statistics.sample import Bools, Codes, Floats

_CHUNK_CELLS = 4_000_000

Statistic = Callable[[Floats], Floats]
"""Weights (groups, resamples) -> the difference for each resample."""


def group_weights(
    codes: Codes, positive: Bools, resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Weights in chunks of shape (groups, some resamples), so that memory stays bounded."""
    size = int(codes.max()) + 1
    holds = np.zeros(size, dtype=np.bool_)
    holds[codes[positive]] = True
    present = np.bincount(codes, minlength=size) > 0
    strata = [np.flatnonzero(holds), np.flatnonzero(present & ~holds)]
    step = max(1, _CHUNK_CELLS // max(size, 1_000))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        weights = np.zeros((size, count))
        for members in strata:
            weights[members] = _draw(len(members), count, rng)
        yield weights


def bootstrap_variance(
    statistic: Statistic, codes: Codes, positive: Bools, resamples: int, rng: np.random.Generator
) -> float:
    """Variance of the statistic over resamples of these groups."""
    chunks = [statistic(weights) for weights in group_weights(codes, positive, resamples, rng)]
    return float(np.var(np.concatenate(chunks), ddof=1))


def _draw(groups: int, resamples: int, rng: np.random.Generator) -> Floats:
    """The number of draws of each group in each resample, shape (groups, resamples)."""
    if groups == 0:
        return np.zeros((0, resamples))
    drawn = rng.integers(groups, size=(groups, resamples), dtype=np.int64)
    flat = drawn * resamples + np.arange(resamples)
    counts = np.bincount(flat.reshape(-1), minlength=groups * resamples)
    return counts.reshape(groups, resamples).astype(np.float64)
