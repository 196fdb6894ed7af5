"""The models' judgement of a row: thresholds turn their scores into a decision.

Comparisons are written so that a score that is not a number ends in review, never in approve.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel, TaskPrediction


class Decision(StrEnum):
    """The decision about the transaction, from mild to severe."""

    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"


# a member of an enum is looked up by a function of Python; these are read several times a row
APPROVE, REVIEW, BLOCK = Decision.APPROVE, Decision.REVIEW, Decision.BLOCK

DEFAULT_THRESHOLDS: Mapping[str, float] = {
    "review": 0.5,
    "block": 0.9,
    "isolation_forest": inf,
    "autoencoder": inf,
}
"""Used where a bundle declares none; an anomaly score without a limit is not an outlier."""

ANOMALY_COMPONENTS = ("isolation_forest", "autoencoder")


class Judgement(NamedTuple):
    """The scores of one row, and the decision by the thresholds.

    Attributes:
        thresholds: the model's own, with a default for each it does not declare.
        anomaly_score: the largest anomaly score as a multiple of its threshold; above 1 the
            row is an outlier.
    """

    probability: float
    thresholds: Mapping[str, float]
    anomaly_score: float
    is_outlier: bool
    decision: Decision
    components: Sequence[str]
    values: Sequence[float]

    @property
    def scores(self) -> dict[str, float]:
        """Component -> score; anomaly components the model does not have are 0."""
        by_name = dict(zip(self.components, self.values, strict=True))
        for name in ANOMALY_COMPONENTS:
            by_name.setdefault(name, 0.0)
        return by_name


def judge(scores: FloatVector, model: ServedModel) -> Judgement:
    """Apply the model's own thresholds; the classifier is its first component."""
    values = scores.tolist()
    limits = _limits_of(model)
    is_outlier, anomaly_score = False, -inf
    for position, limit, unit in limits.anomalies:
        score = 0.0 if position is None else values[position]
        is_outlier = is_outlier or not score <= limit
        multiple = score / unit
        if multiple > anomaly_score:  # noqa: PLR1730 - max() takes four times as long
            anomaly_score = multiple
    decision = _decide(values[0], limits, is_outlier)
    return Judgement(
        values[0], limits.thresholds, anomaly_score, is_outlier, decision, model.components, values
    )


class _Limits(NamedTuple):
    """A model's resolved thresholds, computed once and not for every row.

    Attributes:
        anomalies: position among the components (None: absent), limit, unit.
    """

    thresholds: Mapping[str, float]
    review: float
    block: float
    anomalies: tuple[tuple[int | None, float, float], ...]


class _Last(NamedTuple):
    """The limits of the model that was asked for last: nearly always the same one."""

    model: ServedModel | None
    limits: _Limits


def _limits(components: Sequence[str], declared: Mapping[str, float]) -> _Limits:
    thresholds = {**DEFAULT_THRESHOLDS, **declared}
    anomalies = tuple(
        (
            components.index(name) if name in components else None,
            thresholds[name],
            thresholds[name] or 1.0,
        )
        for name in ANOMALY_COMPONENTS
    )
    return _Limits(thresholds, thresholds["review"], thresholds["block"], anomalies)


_last = [_Last(None, _limits((), {}))]


def _limits_of(model: ServedModel) -> _Limits:
    last = _last[0]
    if last.model is not model:
        last = _last[0] = _Last(model, _limits(model.components, model.thresholds))
    return last.limits


def prediction(scores: FloatVector, model: ServedModel) -> TaskPrediction:
    """The value by which two versions are compared during a rollout."""
    judgement = judge(scores, model)
    return TaskPrediction(judgement.probability, judgement.decision is not Decision.APPROVE)


class Judgements(NamedTuple):
    """The judgements of many rows; row by row `judge` says the same.

    Attributes:
        decision: 0 approve, 1 review, 2 block.
    """

    probability: npt.NDArray[np.float64]
    anomaly_score: npt.NDArray[np.float64]
    is_outlier: npt.NDArray[np.bool_]
    decision: npt.NDArray[np.int64]


def judgements(
    scores: FloatMatrix, components: Sequence[str], thresholds: Mapping[str, float]
) -> Judgements:
    """Apply a model's thresholds to (rows, components)."""
    limits = _limits(components, thresholds)
    # float64, as in `judge`: thresholds must not be rounded to float32
    values = scores.astype(np.float64)
    is_outlier = np.zeros(len(values), dtype=np.bool_)
    anomaly = np.full(len(values), -inf)
    for position, limit, unit in limits.anomalies:
        column = np.zeros(len(values)) if position is None else values[:, position]
        is_outlier |= ~(column <= limit)
        with np.errstate(all="ignore"):  # NaN scores
            anomaly = np.fmax(anomaly, column / unit)
    probability = values[:, 0]
    is_blocked = probability >= limits.block
    is_approved = (probability < limits.review) & ~is_outlier & ~is_blocked
    decision = np.where(is_blocked, 2, np.where(is_approved, 0, 1))
    return Judgements(probability, anomaly, is_outlier, decision)


def alerts(
    scores: FloatMatrix, components: Sequence[str], thresholds: Mapping[str, float]
) -> npt.NDArray[np.bool_]:
    """Rows that are not approved."""
    is_alert: npt.NDArray[np.bool_] = judgements(scores, components, thresholds).decision > 0
    return is_alert


def _decide(probability: float, limits: _Limits, is_outlier: bool) -> Decision:
    if probability >= limits.block:
        return BLOCK
    if probability < limits.review and not is_outlier:
        return APPROVE
    return REVIEW
