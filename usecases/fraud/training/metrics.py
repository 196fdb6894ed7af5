"""Metrics of a ranking on held-out rows, and the thresholds between decisions.

A metric is NaN where it is undefined. Thresholds are chosen on rows that the scoring model has not
learned from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import average_precision_score, roc_auc_score

from shared.clock import MICROS_PER_DAY
from shared.usecase.learning import Labels

from .policy import ThresholdPolicy

Scores = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

UNDEFINED = float("nan")

MIN_BLOCKED = 5
"""A precision over fewer blocked rows than this is an anecdote."""

CAUTIOUS_BLOCK = 0.9
HIGHEST, LOWEST = 1.0 - 1e-6, 1e-6


def headline(scores: npt.NDArray[Any]) -> Scores:
    """The classifier's probability: the first component."""
    return scores[:, 0].astype(np.float64)


def point_estimates(
    scores: Scores, labels: Labels, held_out: pl.DataFrame, daily_alerts: int
) -> Mapping[str, float]:
    """Ranking, workload and calibration; `held_out` has their entities and times."""
    days = held_out["event_time"].to_numpy() // MICROS_PER_DAY
    cards = held_out["user_id"].rank("dense").to_numpy().astype(np.int64)
    ranked = bool(np.isfinite(scores).all()) and len(np.unique(labels)) == 2
    if not ranked:
        return dict.fromkeys(
            (
                "auc",
                "average_precision",
                f"card_precision_{daily_alerts}",
                "recall_at_budget",
                "brier",
            ),
            UNDEFINED,
        )
    return {
        "auc": float(roc_auc_score(labels, scores)),
        "average_precision": float(average_precision_score(labels, scores)),
        f"card_precision_{daily_alerts}": card_precision(scores, labels, cards, days, daily_alerts),
        "recall_at_budget": recall_at_budget(scores, labels, days, daily_alerts),
        "brier": float(np.mean((scores - labels) ** 2)),
    }


def card_precision(
    scores: Scores, labels: Labels, cards: Codes, days: Codes, daily_alerts: int
) -> float:
    """Mean over days of the share of compromised cards among the day's top cards.

    Cards are ranked by their highest score of the day; a card that was found compromised
    leaves the following days.
    """
    found: set[int] = set()
    shares = []
    for day in np.unique(days):
        today = np.flatnonzero(days == day)
        today = today[~np.isin(cards[today], list(found))]
        top = _top_cards(scores[today], cards[today], daily_alerts)
        compromised = set(cards[today][labels[today] == 1].tolist()) & set(top)
        shares.append(len(compromised) / daily_alerts)
        found |= compromised
    return float(np.mean(shares)) if shares else UNDEFINED


def recall_at_budget(scores: Scores, labels: Labels, days: Codes, daily_alerts: int) -> float:
    """Share of positives among the highest scores of their day, for this many a day."""
    positives = np.count_nonzero(labels == 1)
    if not positives:
        return UNDEFINED
    caught = 0
    for day in np.unique(days):
        today = np.flatnonzero(days == day)
        top = today[np.argsort(-scores[today], kind="stable")[:daily_alerts]]
        caught += int(np.count_nonzero(labels[top] == 1))
    return float(caught / positives)


def _top_cards(scores: Scores, cards: Codes, count: int) -> list[int]:
    """The cards with the highest scores; of equals, the card with the lower code."""
    order = np.lexsort((cards, -scores))
    unique, first = np.unique(cards[order], return_index=True)
    top: list[int] = unique[np.argsort(first, kind="stable")][:count].tolist()
    return top


def classifier_thresholds(
    scores: Scores, labels: Labels, policy: ThresholdPolicy
) -> Mapping[str, float]:
    """`block`: precise enough to refuse outright; `review`: what people have time to examine."""
    block = _lowest_precise(scores, labels, policy.block_precision)
    budget = float(np.quantile(scores, 1.0 - policy.review_share)) if len(scores) else 0.5
    block = float(np.clip(block, LOWEST, HIGHEST))
    return {"review": float(np.clip(budget, LOWEST, block)), "block": block}


def outlier_threshold(scores: Scores, policy: ThresholdPolicy) -> float:
    """Scores above this are among the most unusual of ordinary rows."""
    return float(np.quantile(scores, 1.0 - policy.outlier_share))


def _lowest_precise(scores: Scores, labels: Labels, precision: float) -> float:
    """The lowest score at or above which the share of positives is at least `precision`."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order] == 1)
    alerts = np.arange(1, len(ranked) + 1)
    # Equal scores cannot be separated: only the last of each run is a possible threshold.
    last_of_run = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else alerts > 0
    good = last_of_run & (hits / alerts >= precision) & (alerts >= MIN_BLOCKED)
    return float(ranked[good][-1]) if good.any() else CAUTIOUS_BLOCK
