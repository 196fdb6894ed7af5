"""Measures of values: squared and absolute error, pinball loss, RMSE and R2."""

import numpy as np

from learning.measures.measure import Floats, Measured, RowGain, mean_with_influence
from shared.tasks import TaskKind

KINDS = frozenset({TaskKind.REGRESSION, TaskKind.RANKING})


def squared_error(predictions: Floats, labels: Floats) -> Floats:
    return _row_mean(-np.square(predictions - labels))


def absolute_error(predictions: Floats, labels: Floats) -> Floats:
    return _row_mean(-np.abs(predictions - labels))


def pinball(quantile: float) -> RowGain:
    """The loss whose best prediction is that quantile."""

    def gain(predictions: Floats, labels: Floats) -> Floats:
        above = labels - predictions
        return _row_mean(-np.maximum(quantile * above, (quantile - 1.0) * above))

    return gain


def rmse(predictions: Floats, labels: Floats) -> Measured:
    """Root of the mean squared error; a row's influence by the chain rule."""
    mean = mean_with_influence(squared_error(predictions, labels))
    root = float(np.sqrt(-mean.value))
    assert mean.influence is not None  # noqa: S101 - a mean always has one
    if not root > 0.0:
        return Measured(-root, mean.influence)
    return Measured(-root, mean.influence / (2.0 * root))


def r2(predictions: Floats, labels: Floats) -> Measured:
    """Share of the labels' variance that is explained; NaN where they do not vary."""
    errors = np.square(predictions - labels)
    strays = np.square(labels - labels.mean())
    variance, mean_error = float(strays.mean()), float(errors.mean())
    if not variance > 0.0:
        return Measured(float("nan"), np.zeros(len(labels)))
    influence = (mean_error / variance * strays - errors) / variance
    return Measured(1.0 - mean_error / variance, influence / len(labels))


def _row_mean(gains: Floats) -> Floats:
    """One number a row; of a vector of ratings, the mean over those that are known."""
    if gains.ndim == 1:
        return gains
    known = ~np.isnan(gains)
    count = known.sum(axis=1)
    sums = np.where(known, gains, 0.0).sum(axis=1)
    nothing = np.full(len(gains), np.nan)
    return np.asarray(np.divide(sums, count, out=nothing, where=count > 0))
