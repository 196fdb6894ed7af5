"""When rounds are due, who serves what, and what the Handbook's protocol takes."""

import numpy as np
import polars as pl
import pytest

from scheduler.replay.plan import (
    MAX_ROUNDS,
    Policy,
    ReplayImpossible,
    ReplaySpan,
    RoundOutcome,
    plan_spans,
    promotions,
    serving,
)
from scheduler.replay.protocol import handbook_split
from shared.clock import MICROS_PER_DAY as DAY
from shared.errors import TrainingFailed
from shared.intervals import Interval

WEEKLY = Interval.parse("1W")
START = 20_000 * DAY


def test_an_interval_is_counted_from_the_beginning_and_both_ends_are_included() -> None:
    spans = plan_spans(WEEKLY, START, START + 14 * DAY)
    assert spans == (
        ReplaySpan(1, START, START + 7 * DAY),
        ReplaySpan(2, START + 7 * DAY, START + 14 * DAY),
        ReplaySpan(3, START + 14 * DAY, START + 21 * DAY),
    )


def test_a_cron_expression_keeps_its_own_instants() -> None:
    spans = plan_spans(Interval.parse("0 3 * * 0"), START, START + 21 * DAY)
    assert len(spans) == 3
    assert {span.as_of_us % DAY for span in spans} == {3 * DAY // 24}


@pytest.mark.parametrize(
    ("interval", "days", "told"),
    [
        ("1W", -1, "the range is empty: it begins at"),
        ("monthly 31 03:00", 1, "is not due between"),
        ("1H", 366, f"more than {MAX_ROUNDS} rounds"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(interval: str, days: int, told: str) -> None:
    with pytest.raises(ReplayImpossible, match=told):
        plan_spans(Interval.parse(interval), START, START + days * DAY)


def test_nobody_serves_before_the_gate_lets_a_first_model_through() -> None:
    assert set(serving([RoundOutcome("1.0.0", False), RoundOutcome(None, False)]).values()) == {
        None
    }


def test_all_begin_with_the_same_model_and_then_go_their_own_ways() -> None:
    outcomes = [
        RoundOutcome("1.0.0", True),
        RoundOutcome("1.0.1", False),
        RoundOutcome("1.0.2", True),
        RoundOutcome(None, False),
        RoundOutcome("1.0.3", False),
    ]
    assert set(serving(outcomes[:1]).values()) == {"1.0.0"}
    assert serving(outcomes) == {
        Policy.NEVER: "1.0.0",
        Policy.ALWAYS: "1.0.3",
        Policy.GATE: "1.0.2",
    }
    assert promotions(outcomes) == {Policy.NEVER: 0, Policy.ALWAYS: 3, Policy.GATE: 1}


def _history() -> pl.DataFrame:
    """One row a customer and day; the customer's number is the day of its only positive."""
    rows = [(user, day) for day in range(28) for user in (-1, 0, 6, 7, 13, 14)]
    users, days = (np.array(column) for column in zip(*rows, strict=True))
    return pl.DataFrame(
        {
            "user_id": [f"c{user}" for user in users],
            "event_time": START + days * DAY,
            "label": (users == days).astype(np.int8),
        }
    )


def test_the_handbooks_weeks_lie_a_week_apart_and_end_a_week_before_the_round() -> None:
    history = _history()
    split = handbook_split(history, START + 28 * DAY, "user_id")
    days = (history["event_time"].to_numpy() - START) // DAY
    assert set(days[split.train]) == set(range(7))
    assert set(days[split.held_out]) == set(range(14, 21))


def test_customers_known_to_be_compromised_leave_the_test_week_when_that_is_known() -> None:
    history = _history()
    split = handbook_split(history, START + 28 * DAY, "user_id")
    judged = history[split.held_out]
    days = {
        user: set((judged.filter(user_id=user)["event_time"].to_numpy() - START) // DAY)
        for user in ("c-1", "c0", "c6", "c7", "c13", "c14")
    }
    assert days["c-1"] == days["c14"] == days["c13"] == set(range(14, 21))
    assert days["c0"] == days["c6"] == set()
    # a positive of day 7 is known on day 15, a delay later
    assert days["c7"] == {14}


def test_a_week_without_rows_is_no_training() -> None:
    with pytest.raises(TrainingFailed, match="0 rows in the training week"):
        handbook_split(_history(), START + 70 * DAY, "user_id")
