"""A model's metrics and alerts in the weeks it would have served."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from scheduler.replay.history import Later
from shared.scoring.session import OnnxModel
from shared.tasks import TaskKind
from shared.usecase.learning import LearningUseCase
from shared.usecase.serving import FloatMatrix

MetricValues = Mapping[str, float | None]

ALERT = "review"
"""The threshold of a bundle above which a person examines a row."""

ALERTS, PRECISION, RECALL = "alerts", "alert_precision", "alert_recall"


def score_period(use_case: LearningUseCase, model: OnnxModel, later: Later) -> MetricValues:
    """Point estimates on rows that are all labelled; None is what is undefined there."""
    task = use_case.task
    labels = later.labels(task)
    if not len(labels):
        return {}
    scores = scores_of(use_case, model, later)
    headline = use_case.headline(scores)
    is_binary = task.kind is TaskKind.BINARY
    predicted = headline if is_binary else task.predictions(scores)
    metrics: dict[str, float | None] = {
        name: value if math.isfinite(value) else None
        for name, value in use_case.metrics(predicted, labels, later.rows).items()
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
    """One number a row, by which drift is looked for and alerts are counted."""
    return use_case.headline(scores_of(use_case, model, later))


def scores_of(use_case: LearningUseCase, model: OnnxModel, later: Later) -> FloatMatrix:
    """A model's scores of these rows."""
    names = use_case.feature_set.names
    columns = [names.index(name) for name in model.manifest.feature_names]
    return model.score(np.ascontiguousarray(later.matrix[:, columns]))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
