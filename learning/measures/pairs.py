"""Measures of the order of two classes: area under the ROC curve and average precision.

Values only: the gate has their errors from DeLong's closed form and from resampling.
"""

import numpy as np

from learning.measures.measure import Floats, Measured
from shared.tasks import TaskKind

KINDS = frozenset({TaskKind.BINARY})


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
