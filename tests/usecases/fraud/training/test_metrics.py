"""Point estimates on rows small enough to count by hand."""

import math

import numpy as np
import polars as pl
import pytest

from shared.clock import MICROS_PER_DAY
from usecases.fraud.training.metrics import (
    card_precision,
    headline,
    point_estimates,
    recall_at_budget,
)


def rows(*triples: tuple[str, int, float]) -> pl.DataFrame:
    """(card, day, score) of each row."""
    return pl.DataFrame(
        {
            "user_id": [card for card, _, _ in triples],
            "event_time": [day * MICROS_PER_DAY for _, day, _ in triples],
        }
    )


def test_the_headline_is_the_classifier() -> None:
    scores = np.array([[0.25, 0.5, 9.0], [0.75, 0.4, 1.0]], dtype=np.float32)
    assert headline(scores).tolist() == [0.25, 0.75]
    assert headline(scores).dtype == np.float64


def test_card_precision_ranks_cards_by_their_highest_score_of_the_day() -> None:
    scores = np.array([0.9, 0.1, 0.8, 0.7])
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    cards, days = np.array([1, 1, 2, 3]), np.zeros(4, dtype=np.int64)
    # Top two cards are 1 (its highest row is .9) and 2; card 1 has a fraud among its rows.
    assert card_precision(scores, labels, cards, days, 2) == 0.5


def test_a_card_found_compromised_leaves_the_following_days() -> None:
    scores, labels = np.array([0.9, 0.9, 0.5]), np.array([1, 1, 1], dtype=np.int8)
    cards, days = np.array([1, 1, 2]), np.array([0, 1, 1])
    # Day 0 finds card 1; on day 1 only card 2 is left to be found.
    assert card_precision(scores, labels, cards, days, 1) == 1.0
    labels[2] = 0
    assert card_precision(scores, labels, cards, days, 1) == 0.5


def test_a_card_that_was_not_found_stays() -> None:
    scores, labels = np.array([0.1, 0.9, 0.9]), np.array([1, 0, 1], dtype=np.int8)
    cards, days = np.array([1, 2, 1]), np.array([0, 0, 1])
    assert card_precision(scores, labels, cards, days, 1) == 0.5


def test_recall_counts_what_the_daily_budget_reaches() -> None:
    scores, labels = np.array([0.9, 0.8, 0.1, 0.2]), np.array([0, 1, 1, 1], dtype=np.int8)
    days = np.array([0, 0, 0, 1])
    assert recall_at_budget(scores, labels, days, 1) == pytest.approx(1 / 3)
    assert recall_at_budget(scores, labels, days, 2) == pytest.approx(2 / 3)


def test_all_metrics_are_finite_where_they_are_defined() -> None:
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    scores = np.array([0.1, 0.9, 0.2, 0.8])
    held_out = rows(("a", 0, 0), ("b", 0, 0), ("c", 1, 0), ("d", 1, 0))
    found = point_estimates(scores, labels, held_out, daily_alerts=1)
    assert found["auc"] == found["average_precision"] == 1.0
    assert found["card_precision_1"] == 1.0
    assert found["brier"] == pytest.approx((0.01 + 0.01 + 0.04 + 0.04) / 4)


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_only_makes_every_metric_undefined(only: int) -> None:
    labels = np.full(2, only, dtype=np.int8)
    held_out = rows(("a", 0, 0), ("b", 0, 0))
    found = point_estimates(np.array([0.1, 0.2]), labels, held_out, 100)
    assert all(math.isnan(value) for value in found.values())


def test_a_score_that_is_no_number_makes_every_metric_undefined() -> None:
    labels = np.array([0, 1], dtype=np.int8)
    held_out = rows(("a", 0, 0), ("b", 0, 0))
    found = point_estimates(np.array([0.1, np.nan]), labels, held_out, 100)
    assert all(math.isnan(value) for value in found.values())


def test_no_rows_make_every_metric_undefined() -> None:
    held_out = rows(("a", 0, 0)).clear()
    found = point_estimates(np.array([]), np.array([], dtype=np.int8), held_out, 100)
    assert all(math.isnan(value) for value in found.values())
