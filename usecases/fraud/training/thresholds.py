"""Thresholds between decisions, chosen on rows the scoring model has not learned from."""

from collections.abc import Mapping

import numpy as np

from shared.usecase.learning import Labels

from .metrics import Scores
from .policy import ThresholdPolicy

MIN_BLOCKED = 5
"""A precision over fewer blocked rows than this is an anecdote."""

CAUTIOUS_BLOCK = 0.9
HIGHEST, LOWEST = 1.0 - 1e-6, 1e-6


def classifier_thresholds(
    scores: Scores, labels: Labels, policy: ThresholdPolicy
) -> Mapping[str, float]:
    """`block`: precise enough to refuse outright; `review`: what people have time to examine."""
    block = _lowest_precise(scores, labels, policy.block_precision)
    budget = float(np.quantile(scores, 1.0 - policy.review_share)) if len(scores) else 0.5
    block = float(np.clip(block, LOWEST, HIGHEST))
    return {"review": float(np.clip(budget, LOWEST, block)), "block": block}


def outlier_threshold(scores: Scores, policy: ThresholdPolicy) -> float:
    """Scores above this are among the most unusual of ordinary rows."""
    return float(np.quantile(scores, 1.0 - policy.outlier_share))


def _lowest_precise(scores: Scores, labels: Labels, precision: float) -> float:
    """The lowest score at or above which the share of positives is at least `precision`."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order] == 1)
    alerts = np.arange(1, len(ranked) + 1)
    # Equal scores cannot be separated: only the last of each run is a possible threshold.
    last_of_run = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else alerts > 0
    good = last_of_run & (hits / alerts >= precision) & (alerts >= MIN_BLOCKED)
    return float(ranked[good][-1]) if good.any() else CAUTIOUS_BLOCK
