"""Performance without labels: what calibrated scores promise, if they still keep their word.

Confidence-based performance estimation: if a row with this score is positive with
probability p, labels can be drawn, and the metrics of many such draws say what to expect. It
sees that traffic has become harder; it cannot see that the same rows mean something else now.
So it is an early warning, and no gate ever asks for it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

DRAWS = 100
_BOUNDS = (5.0, 95.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Share of positives by score, never falling; in between it is a straight line."""

    scores: tuple[float, ...]
    shares: tuple[float, ...]

    def probabilities(self, scores: Floats) -> Floats:
        return np.asarray(np.interp(scores, self.scores, self.shares))


NOT_CALIBRATED = Calibration((), ())
"""The calibration of scores that are not probabilities: nothing is estimated without labels."""


@dataclass(frozen=True, slots=True)
class Performance:
    """Metrics on rows whose labels are known; NaN where one class only is there."""

    rows: int
    positives: int
    auc: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class Expected:
    """One metric: its mean over the draws, and where nine in ten of them lie."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PerformanceEstimate:
    """The metrics that the scores of unlabelled rows predict."""

    rows: int
    positives: Expected
    auc: Expected
    average_precision: Expected


def fit_calibration(scores: Floats, positive: Flags) -> Calibration:
    """Isotonic regression on rows the model has not learned from."""
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, positive.astype(np.float64))
    return Calibration(
        tuple(float(value) for value in fitted.X_thresholds_),
        tuple(float(value) for value in fitted.y_thresholds_),
    )


def measure(scores: Floats, positive: Flags) -> Performance:
    """The metrics when labels are known."""
    order = np.argsort(-scores, kind="stable")
    auc, average_precision = _metrics(positive[order], _ends(scores[order]))
    return Performance(len(scores), int(positive.sum()), auc, average_precision)


def not_measured(rows: int) -> Performance:
    """The result for a task that has no positives."""
    return Performance(rows, 0, np.nan, np.nan)


def estimate(scores: Floats, calibration: Calibration, seed: int = 0) -> PerformanceEstimate:
    """The metrics when labels are not known."""
    ordered = -np.sort(-scores)
    chances, ends = calibration.probabilities(ordered), _ends(ordered)
    rng = np.random.default_rng(seed)
    drawn = np.empty((DRAWS, 3))
    for place in range(DRAWS):
        positive = rng.random(len(ordered)) < chances
        drawn[place] = (positive.sum(), *_metrics(positive, ends))
    return PerformanceEstimate(len(scores), *(_expected(column) for column in drawn.T))


def _expected(values: Floats) -> Expected:
    known = values[np.isfinite(values)]
    if not len(known):
        return Expected(np.nan, np.nan, np.nan)
    low, high = np.percentile(known, _BOUNDS)
    return Expected(float(known.mean()), float(low), float(high))


def _ends(ordered: Floats) -> npt.NDArray[np.int64]:
    """The end of each run of equal scores: ties are flagged together or not at all."""
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)


def _metrics(positive: Flags, ends: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Area under the ROC curve and average precision of labels in the order of their scores."""
    found = np.cumsum(positive)[ends].astype(np.float64)
    flagged = ends + 1.0
    alarms = flagged - found
    if not len(ends) or found[-1] == 0.0:
        return np.nan, np.nan
    gained = np.diff(found, prepend=0.0)
    average_precision = float((gained * found / flagged).sum() / found[-1])
    if alarms[-1] == 0.0:
        return np.nan, average_precision
    area = (np.diff(alarms, prepend=0.0) * (found - gained / 2.0)).sum()
    return float(area / (found[-1] * alarms[-1])), average_precision
