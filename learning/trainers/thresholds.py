"""Thresholds between answers, chosen on rows the scoring model has not learned from."""

import numpy as np

from learning.trainers.request import Floats
from shared.tasks.answer import DEFAULT_DECISION

_HIGHEST, _LOWEST = 1.0 - 1e-6, 1e-6


def decision_threshold(scores: Floats, labels: Floats) -> float:
    """The threshold with the best F1 of the positive class; 0.5 where it is undefined."""
    positives = int(np.count_nonzero(labels == 1))
    if not positives or not np.isfinite(scores).all():
        return DEFAULT_DECISION
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order] == 1)
    # Equal scores stand or fall together, so only the last of each run is a possible cut.
    cuts = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    f1 = 2.0 * hits[cuts] / (cuts + 1 + positives)
    return float(np.clip(ranked[cuts[int(np.argmax(f1))]], _LOWEST, _HIGHEST))


def outlier_threshold(scores: Floats, share: float) -> float:
    """Scores above this are among the most unusual of the validation rows."""
    return float(np.quantile(scores, 1.0 - share))
