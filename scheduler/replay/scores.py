"""How a model did in the weeks it would have served: the use case's metrics, and the alerts."""

import math
from collections.abc import Mapping

import numpy as np

from scheduler.replay.history import Later
from shared.scoring.session import OnnxModel
from shared.usecase.learning import LearningUseCase

Scores = Mapping[str, float | None]

ALERT = "review"
"""The threshold of a bundle above which a person looks at a row."""

ALERTS, PRECISION, RECALL = "alerts", "alert_precision", "alert_recall"


def score_period(use_case: LearningUseCase, model: OnnxModel, later: Later) -> Scores:
    """Point estimates on the labelled rows; None is what is undefined there."""
    if not len(later.labels):
        return {}
    names = use_case.feature_set.names
    columns = [names.index(name) for name in model.manifest.feature_names]
    matrix = np.ascontiguousarray(later.matrix[:, columns])
    headline = use_case.headline(model.score(matrix))
    metrics: dict[str, float | None] = {
        name: value if math.isfinite(value) else None
        for name, value in use_case.metrics(headline, later.labels, later.rows).items()
    }
    threshold = model.manifest.thresholds.get(ALERT)
    if threshold is None:
        return metrics
    flagged = headline >= threshold
    hits = int(np.count_nonzero(later.labels[flagged] == 1))
    return {
        **metrics,
        ALERTS: float(np.count_nonzero(flagged)),
        PRECISION: _share(hits, int(np.count_nonzero(flagged))),
        RECALL: _share(hits, int(np.count_nonzero(later.labels == 1))),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
