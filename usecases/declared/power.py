"""The power of one column alone to rank a label; implausibly high power is a leak."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from shared.tasks import TaskKind

Floats = npt.NDArray[np.float64]


def ranking_power(values: Floats, truth: Floats, task: TaskKind) -> float:
    """1: the column alone determines the label; 0.5 (0 for a regression): no information.

    Values must not be NaN: the caller replaces missing ones.
    """
    if task is TaskKind.REGRESSION:
        return _correlation(values, truth)
    if task is TaskKind.BINARY:
        return _auc(values, truth == truth.max())
    # the minimum: separating one class is not a leak, separating all of them is
    return min(_auc(values, truth == one) for one in np.unique(truth))


def word_means(words: npt.NDArray[np.int64], truth: Floats) -> Floats:
    """Words as numbers: the mean label of the word in the other half of the rows."""
    half = np.arange(len(words)) % 2
    count = int(words.max()) + 1 if len(words) else 0
    ranked = np.full(len(words), truth.mean() if len(truth) else 0.0)
    for side in (0, 1):
        here, other = half == side, half != side
        rows = np.bincount(words[other], minlength=count)
        total = np.bincount(words[other], weights=truth[other], minlength=count)
        means = np.divide(total, rows, out=np.full(count, truth.mean()), where=rows > 0)
        ranked[here] = means[words[here]]
    return ranked


def _auc(values: Floats, positive: npt.NDArray[np.bool_]) -> float:
    ranks = rankdata(values)
    high = int(positive.sum())
    low = len(positive) - high
    area = (ranks[positive].sum() - high * (high + 1) / 2) / (high * low)
    return float(max(area, 1.0 - area))


def _correlation(values: Floats, truth: Floats) -> float:
    one, other = rankdata(values), rankdata(truth)
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(abs(np.corrcoef(one, other)[0, 1]))
