"""Measures of classes: log loss, Brier, accuracy, macro-F1, balanced accuracy, and of their order.

Predictions are the probability of the positive class, (rows,), or of every class,
(rows, classes). The answered class is the most probable one; of two, the positive one from
one half on. Area under the ROC curve and average precision are values only: the gate has their
errors from DeLong's closed form and from resampling.
"""

import numpy as np
import numpy.typing as npt

from learning.measures.measure import Floats, Measured
from shared.tasks import TaskKind

Codes = npt.NDArray[np.int64]

LEAST = float(np.finfo(np.float32).eps)
"""A probability of 0 for what happens would cost infinitely much."""
KINDS = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
TWO_CLASSES = frozenset({TaskKind.BINARY})


def probabilities(predictions: Floats) -> Floats:
    """One column a class, whatever the task."""
    if predictions.ndim == 2:
        return predictions
    return np.column_stack([1.0 - predictions, predictions])


def log_loss(predictions: Floats, labels: Floats) -> Floats:
    """Log of the probability of what happened, shares of a row adding up to 1."""
    shares = np.clip(probabilities(predictions), LEAST, 1.0)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return np.asarray(np.log(shares[np.arange(len(labels)), _codes(labels)]))


def brier(predictions: Floats, labels: Floats) -> Floats:
    """Minus the squared distance to what happened; for two classes, of the positive one."""
    if predictions.ndim == 1:
        return np.asarray(-np.square(predictions - labels))
    happened = np.zeros_like(predictions)
    happened[np.arange(len(labels)), _codes(labels)] = 1.0
    return np.asarray(-np.square(predictions - happened).sum(axis=1))


def accuracy(predictions: Floats, labels: Floats) -> Floats:
    return np.asarray(answered(predictions) == _codes(labels), dtype=np.float64)


def macro_f1(predictions: Floats, labels: Floats) -> Measured:
    """Mean of the classes' F1; a class neither answered nor true does not count."""
    said, true = answered(predictions), _codes(labels)
    value, counted, influence = 0.0, 0, np.zeros(len(true))
    for code in range(probabilities(predictions).shape[1]):
        is_said, is_true = said == code, true == code
        either = (is_said.mean() + is_true.mean()) if len(true) else 0.0
        if either == 0.0:
            continue
        score = 2.0 * (is_said & is_true).mean() / either
        value, counted = value + score, counted + 1
        influence += (2.0 * (is_said & is_true) - score * (0.0 + is_said + is_true)) / either
    return _averaged(value, influence, counted)


def balanced_accuracy(predictions: Floats, labels: Floats) -> Measured:
    """Mean of the classes' recall; a class without rows does not count."""
    said, true = answered(predictions), _codes(labels)
    value, counted, influence = 0.0, 0, np.zeros(len(true))
    for code in np.unique(true):
        is_true = true == code
        recall = float((said[is_true] == code).mean())
        value, counted = value + recall, counted + 1
        influence += np.where(is_true, (said == code) - recall, 0.0) / is_true.mean()
    return _averaged(value, influence, counted)


def answered(predictions: Floats) -> Codes:
    if predictions.ndim == 1:
        return (predictions >= 0.5).astype(np.int64)
    return np.asarray(predictions.argmax(axis=1), dtype=np.int64)


def _averaged(value: float, influence: Floats, counted: int) -> Measured:
    if counted == 0:
        return Measured(float("nan"), influence)
    return Measured(value / counted, influence / (counted * len(influence)))


def _codes(labels: Floats) -> Codes:
    return labels.astype(np.int64)


def auc(predictions: Floats, labels: Floats) -> Measured:
    """Chance that a positive ranks above a negative, ties one half; NaN of one class."""
    positive = labels == 1
    highs, lows = int(positive.sum()), int((~positive).sum())
    if not highs or not lows:
        return Measured(float("nan"), None)
    negatives = np.sort(predictions[~positive])
    below = np.searchsorted(negatives, predictions[positive], side="left")
    at_most = np.searchsorted(negatives, predictions[positive], side="right")
    return Measured(float((below + at_most).mean() / (2 * lows)), None)


def average_precision(predictions: Floats, labels: Floats) -> Measured:
    """Precision averaged over the positives, ties taken together; NaN without positives."""
    order = np.argsort(-predictions, kind="stable")
    ranked, hits = predictions[order], np.cumsum(labels[order] == 1)
    if not len(hits) or not hits[-1]:
        return Measured(float("nan"), None)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.diff(hits[last], prepend=0)
    precision = hits[last] / (last + 1)
    return Measured(float((precision * found).sum() / hits[-1]), None)
