"""Champion against candidate on the same rows: the gain, its one-sided bounds, its p-value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler.statistics.average_precision import PrecisionSlots
from scheduler.statistics.bootstrap import bootstrap_variance
from scheduler.statistics.delong import auc_with_influence
from scheduler.statistics.intervals import Spread, clustered_variance, one_sided, two_way
from scheduler.statistics.sample import Codes, Floats, NotComparable, PairedSample, paired_sample

__all__ = ["METRICS", "Comparison", "NotComparable", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired comparison on one metric.

    Attributes:
        difference: the gain of the candidate; above 0 means better.
        lower: the gain is below this with probability alpha at most (one-sided).
        upper: the gain is above this with probability alpha at most (one-sided).
        p_value: one-sided, of the hypothesis that the candidate gains nothing.
    """

    metric: str
    champion: float
    candidate: float
    difference: float
    lower: float
    upper: float
    p_value: float
    positives: int
    negatives: int


def compare(
    champion_scores: npt.ArrayLike,
    candidate_scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    metric: str,
    clusters: npt.NDArray[Any] | None,
    resamples: int,
    alpha: float,
    seed: int,
) -> Comparison:
    """Compare two models on the same matured rows.

    `metric` is `auc` (DeLong, cluster-robust) or `average_precision` (bootstrap of groups);
    `clusters` is (n,) customers, (n, 2) customers and days, or None: rows are independent;
    `alpha` is the one-sided error of each bound.

    Raises:
        NotComparable: empty, NaN, infinite, one class only, or lengths that differ.
        ValueError: an unknown metric or an alpha outside (0, 0.5].
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    if not 0.0 < alpha <= 0.5:
        raise ValueError(f"alpha must be in (0, 0.5], not {alpha}")
    sample = paired_sample(champion_scores, candidate_scores, labels, clusters)
    champion, candidate, spread = METRICS[metric](sample, resamples, np.random.default_rng(seed))
    difference = candidate - champion
    lower, upper, p_value = one_sided(difference, spread, alpha)
    counts = sample.positives, sample.negatives
    return Comparison(metric, champion, candidate, difference, lower, upper, p_value, *counts)


def _auc(
    sample: PairedSample, resamples: int, rng: np.random.Generator
) -> tuple[float, float, Spread]:
    """DeLong needs no resampling: the terms of every row are known in closed form."""
    del resamples, rng
    champion, before = auc_with_influence(sample.champion, sample.positive)
    candidate, after = auc_with_influence(sample.candidate, sample.positive)
    influence = after - before
    if not sample.ways:
        freedom = float(max(min(sample.positives, sample.negatives) - 1, 1))
        return champion, candidate, Spread(float(influence @ influence), freedom)
    spread = two_way(sample.ways, lambda codes: clustered_variance(influence, codes))
    return champion, candidate, spread


def _average_precision(
    sample: PairedSample, resamples: int, rng: np.random.Generator
) -> tuple[float, float, Spread]:
    rows = np.arange(len(sample.positive), dtype=np.int64)
    ways = sample.ways or (rows,)

    def variance_of(codes: Codes) -> tuple[float, int]:
        before = PrecisionSlots(sample.champion, sample.positive, codes)
        after = PrecisionSlots(sample.candidate, sample.positive, codes)

        def gain(weights: Floats) -> Floats:
            return after.average_precision(weights) - before.average_precision(weights)

        return bootstrap_variance(gain, codes, sample.positive, resamples, rng)

    spread = two_way(ways, variance_of)
    once = np.ones((1, 1))
    together = np.zeros_like(rows)
    values = [
        float(PrecisionSlots(scores, sample.positive, together).average_precision(once)[0])
        for scores in (sample.champion, sample.candidate)
    ]
    return values[0], values[1], spread


METRICS: dict[
    str, Callable[[PairedSample, int, np.random.Generator], tuple[float, float, Spread]]
] = {
    "auc": _auc,
    "average_precision": _average_precision,
}
