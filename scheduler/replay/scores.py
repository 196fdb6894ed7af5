"""A model's metrics and alerts in the weeks it would have served."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from scheduler.replay.history import Later
from shared.scoring.session import OnnxModel
from shared.usecase.learning import LearningUseCase

MetricValues = Mapping[str, float | None]

ALERT = "review"
"""The threshold of a bundle above which a person examines a row."""

ALERTS, PRECISION, RECALL = "alerts", "alert_precision", "alert_recall"


def score_period(use_case: LearningUseCase, model: OnnxModel, later: Later) -> MetricValues:
    """Point estimates on rows that are all labelled; None is what is undefined there."""
    labels = later.labels
    if not len(labels):
        return {}
    headline = headline_scores(use_case, model, later)
    metrics: dict[str, float | None] = {
        name: value if math.isfinite(value) else None
        for name, value in use_case.metrics(headline, labels, later.rows).items()
    }
    threshold = model.manifest.thresholds.get(ALERT)
    if threshold is None:
        return metrics
    flagged = headline >= threshold
    hits = int(np.count_nonzero(labels[flagged] == 1))
    return {
        **metrics,
        ALERTS: float(np.count_nonzero(flagged)),
        PRECISION: _share(hits, int(np.count_nonzero(flagged))),
        RECALL: _share(hits, int(np.count_nonzero(labels == 1))),
    }


def headline_scores(
    use_case: LearningUseCase, model: OnnxModel, later: Later
) -> npt.NDArray[np.float64]:
    """The score by which a model ranks these rows."""
    names = use_case.feature_set.names
    columns = [names.index(name) for name in model.manifest.feature_names]
    return use_case.headline(model.score(np.ascontiguousarray(later.matrix[:, columns])))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
