"""One model on labelled rows: ROC, precision-recall, reliability and score distributions."""

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from scheduler.report.data import Curve, Histogram, ModelView, Reliability
from scheduler.report.task_views import Floats
from scheduler.statistics.sample import Bools

POINTS = 300
BINS = 40
RELIABILITY_BINS = 12
MIN_BIN_ROWS = 20
FARTHEST_ODDS = 9.2
"""Log-odds of about 0.0001 and 0.9999; scores beyond are drawn at the rim."""

_TWO_SIDED_95 = 1.959964


def view(version: str, scores: Floats, positive: Bools) -> ModelView | None:
    """Everything that is drawn of a model; None when there is only one class."""
    if positive.all() or not positive.any() or not np.isfinite(scores).all():
        return None
    false_alarms, found, _ = roc_curve(positive, scores)
    precision, recall, _ = precision_recall_curve(positive, scores)
    return ModelView(
        version=version,
        auc=float(roc_auc_score(positive, scores)),
        average_precision=float(average_precision_score(positive, scores)),
        roc=thin(false_alarms, found),
        precision_recall=thin(recall, precision),
        reliability=_reliability(scores, positive) if are_probabilities(scores) else None,
        histogram=_histogram(scores, positive),
    )


def are_probabilities(scores: Floats) -> bool:
    return bool(scores.min() >= 0.0 and scores.max() <= 1.0)


def log_odds(probabilities: Floats) -> Floats:
    """A scale on which one in ten thousand and one in a hundred are distinct."""
    inside = np.clip(probabilities, 1e-12, 1 - 1e-12)
    odds = np.log(inside / (1 - inside))
    return np.asarray(np.clip(odds, -FARTHEST_ODDS, FARTHEST_ODDS))


def thin(x: Floats, y: Floats) -> Curve:
    """Points spread evenly along the curve, at most as many as are visible, with both ends."""
    if len(x) <= POINTS:
        return Curve(x, y)
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0.0, walked[-1], POINTS)
    kept = np.unique(np.searchsorted(walked, wanted).clip(0, len(x) - 1))
    return Curve(x[kept], y[kept])


def _reliability(scores: Floats, positive: Bools) -> Reliability:
    """Bins of equal width in log-odds; bins of a few rows would only show chance."""
    edges = np.linspace(-FARTHEST_ODDS, FARTHEST_ODDS, RELIABILITY_BINS + 1)
    which = np.digitize(log_odds(scores), edges[1:-1])
    rows = np.bincount(which, minlength=RELIABILITY_BINS)
    kept = rows >= MIN_BIN_ROWS
    predicted = np.bincount(which, weights=scores, minlength=RELIABILITY_BINS)[kept] / rows[kept]
    observed = np.bincount(which, weights=positive, minlength=RELIABILITY_BINS)[kept] / rows[kept]
    return Reliability(predicted, observed, *_wilson(observed, rows[kept].astype(np.float64)))


def _wilson(share: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """The interval of a share that also holds where nothing, or everything, was found."""
    squared = _TWO_SIDED_95**2
    middle = (share + squared / (2 * rows)) / (1 + squared / rows)
    reach = _TWO_SIDED_95 * np.sqrt(share * (1 - share) / rows + squared / (4 * rows**2))
    reach = reach / (1 + squared / rows)
    return np.clip(middle - reach, 0.0, 1.0), np.clip(middle + reach, 0.0, 1.0)


def _histogram(scores: Floats, positive: Bools) -> Histogram:
    values = log_odds(scores) if are_probabilities(scores) else scores
    low, high = np.quantile(values, [0.0005, 0.9995])
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    values = np.clip(values, edges[0], edges[-1])
    positives, negatives = (
        np.histogram(values[mask], edges)[0] / np.count_nonzero(mask)
        for mask in (positive, ~positive)
    )
    return Histogram(edges, positives, negatives)
