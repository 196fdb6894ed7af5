"""Measures of a ranked list: NDCG@k, precision@k, recall@k and F1@k, one number a row.

Predictions and labels have one column an item; an unknown rating is NaN and excluded: it is not
ranked, because its value is unknown. An item is relevant when its rating lies above the mean of the
row's known ratings. Equal predictions are ranked in the order of the items, for every model.
"""

from collections.abc import Callable

import numpy as np

from learning.measures.measure import Floats, RowGain
from shared.tasks import TaskKind

KINDS = frozenset({TaskKind.RANKING})


def ndcg_at(k: int) -> RowGain:
    """Discounted gain of the best k, against that of the ideal order.

    A rating counts by how far it lies above the lowest known one of its row, so that the scale
    (1 to 5, -1 to 1) does not matter; a row whose ratings are all equal gives NaN.
    """

    def gain(predictions: Floats, labels: Floats) -> Floats:
        worth = _worth(labels)
        found = _discounted(_ordered(worth, predictions, labels), k)
        ideal = _discounted(_ordered(worth, worth, labels), k)
        nothing = np.full(len(labels), np.nan)
        return np.asarray(np.divide(found, ideal, out=nothing, where=ideal > 0))

    return gain


def precision_at(k: int) -> RowGain:
    """Share of the k best that are relevant; of fewer known items, of those."""

    def gain(predictions: Floats, labels: Floats) -> Floats:
        hits, relevant, shown = _hits(predictions, labels, k)
        return np.where(relevant > 0, hits / np.maximum(shown, 1), np.nan)

    return gain


def recall_at(k: int) -> RowGain:
    """Share of the relevant items among the k best."""

    def gain(predictions: Floats, labels: Floats) -> Floats:
        hits, relevant, _ = _hits(predictions, labels, k)
        return np.where(relevant > 0, hits / np.maximum(relevant, 1), np.nan)

    return gain


def f1_at(k: int) -> RowGain:
    """Harmonic mean of precision and recall at k."""

    def gain(predictions: Floats, labels: Floats) -> Floats:
        hits, relevant, shown = _hits(predictions, labels, k)
        return np.where(relevant > 0, 2.0 * hits / np.maximum(shown + relevant, 1), np.nan)

    return gain


RANKED: dict[str, Callable[[int], RowGain]] = {
    "ndcg_at_": ndcg_at,
    "precision_at_": precision_at,
    "recall_at_": recall_at,
    "f1_at_": f1_at,
}


def _hits(predictions: Floats, labels: Floats, k: int) -> tuple[Floats, Floats, Floats]:
    """Relevant items among the k best, relevant items, and items shown."""
    known = ~np.isnan(labels)
    count = known.sum(axis=1)
    mean = np.where(known, labels, 0.0).sum(axis=1) / np.maximum(count, 1)
    relevant = known & (labels > mean[:, None])
    hits = _ordered(relevant.astype(np.float64), predictions, labels)[:, :k].sum(axis=1)
    return hits, relevant.sum(axis=1).astype(np.float64), np.minimum(count, k).astype(np.float64)


def _worth(labels: Floats) -> Floats:
    known = ~np.isnan(labels)
    lowest = np.where(known, labels, np.inf).min(axis=1, keepdims=True)
    lowest = np.where(np.isfinite(lowest), lowest, 0.0)
    return np.where(known, labels - lowest, 0.0)


def _ordered(worth: Floats, predictions: Floats, labels: Floats) -> Floats:
    """The worth of each row's items, best prediction first, unknown ones last."""
    ranked = np.where(np.isnan(labels), -np.inf, predictions)
    order = np.argsort(-ranked, axis=1, kind="stable")
    return np.take_along_axis(worth, order, axis=1)


def _discounted(worth: Floats, k: int) -> Floats:
    best = worth[:, :k]
    return np.asarray(best @ (1.0 / np.log2(np.arange(best.shape[1]) + 2.0)))
