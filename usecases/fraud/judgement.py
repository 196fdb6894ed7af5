"""What the models alone say of a row: thresholds turn their scores into a decision.

Comparisons are written so that a score that is not a number ends in review, never in approve.
"""

from collections.abc import Mapping
from enum import StrEnum
from math import inf
from typing import NamedTuple

from shared.usecase.serving import FloatVector, Outlook, ServedModel


class Decision(StrEnum):
    """What to do with the transaction, from mild to severe."""

    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"


DEFAULT_THRESHOLDS: Mapping[str, float] = {
    "review": 0.5,
    "block": 0.9,
    "isolation_forest": inf,
    "autoencoder": inf,
}
"""Used where a bundle declares none; an anomaly score without a limit is no outlier."""

ANOMALY_COMPONENTS = ("isolation_forest", "autoencoder")


class Judgement(NamedTuple):
    """The scores of one row and what the thresholds make of them.

    Attributes:
        scores: component -> score; components the model does not have are 0.
        anomaly_score: the largest anomaly score as a multiple of its threshold; above 1 the
            row is an outlier.
    """

    probability: float
    scores: Mapping[str, float]
    thresholds: Mapping[str, float]
    anomaly_score: float
    is_outlier: bool
    decision: Decision


def judge(scores: FloatVector, model: ServedModel) -> Judgement:
    """Apply the model's own thresholds; the classifier is its first component."""
    values = scores.tolist()
    by_name = dict(zip(model.components, values, strict=True))
    thresholds = _thresholds(model)
    is_outlier, anomaly_score = False, -inf
    for name in ANOMALY_COMPONENTS:
        score, limit = by_name.setdefault(name, 0.0), thresholds[name]
        is_outlier = is_outlier or not score <= limit
        anomaly_score = max(anomaly_score, score / (limit or 1.0))
    decision = _decide(values[0], thresholds, is_outlier)
    return Judgement(values[0], by_name, thresholds, anomaly_score, is_outlier, decision)


class _Last(NamedTuple):
    """The thresholds of the model that was asked for last: nearly always the same one."""

    model: ServedModel | None
    thresholds: Mapping[str, float]


_last = [_Last(None, DEFAULT_THRESHOLDS)]


def _thresholds(model: ServedModel) -> Mapping[str, float]:
    last = _last[0]
    if last.model is not model:
        last = _last[0] = _Last(model, {**DEFAULT_THRESHOLDS, **model.thresholds})
    return last.thresholds


def outlook(scores: FloatVector, model: ServedModel) -> Outlook:
    """What two versions are compared by while one of them is on trial."""
    judgement = judge(scores, model)
    return Outlook(judgement.probability, judgement.decision is not Decision.APPROVE)


def _decide(probability: float, thresholds: Mapping[str, float], is_outlier: bool) -> Decision:
    if probability >= thresholds["block"]:
        return Decision.BLOCK
    if probability < thresholds["review"] and not is_outlier:
        return Decision.APPROVE
    return Decision.REVIEW
