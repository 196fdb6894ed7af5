"""An alarm starts one run per cool-down."""

import pytest

from scheduler.drift.alarm import Retrainings, respond
from scheduler.drift.bins import ColumnKind
from scheduler.drift.check import ColumnDrift, DriftReport
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR

MOVED = ColumnDrift("amount", ColumnKind.NUMBER, 0.2, 0.05, 1e-9, 1e-8, 1.5, alarm=True)
ALARM = DriftReport(1_000, 7, (MOVED,))
NOW = 100 * MICROS_PER_DAY


@pytest.mark.parametrize(("days_ago", "starts"), [(None, True), (6, False), (7, True), (30, True)])
def test_an_alarm_starts_a_run_unless_one_for_drift_is_recent(
    days_ago: int | None, starts: bool
) -> None:
    last = Retrainings()
    if days_ago is not None:
        last = Retrainings(by_drift=3, by_drift_us=NOW - days_ago * MICROS_PER_DAY)
    response = respond(ALARM, NOW, last, cooldown_days=7.0)
    assert response.starts_run is starts
    assert "amount" in response.reason


def test_an_alarm_waits_for_a_retraining_that_is_not_over_whoever_asked_for_it() -> None:
    response = respond(ALARM, NOW, Retrainings(unfinished=12), cooldown_days=7.0)
    assert not response.starts_run
    assert "run 12 is not over yet" in response.advice


def test_no_alarm_and_no_check_start_nothing_and_say_which() -> None:
    nothing = Retrainings()
    assert respond(DriftReport(1_000, 7, ()), NOW, nothing, 7.0).reason == "no drift"
    unchecked = DriftReport(10, 1, (), reason="10 rows, 200 are needed")
    said = respond(unchecked, NOW, nothing, 7.0).reason
    assert said == "not checked: 10 rows, 200 are needed"


@pytest.mark.parametrize(
    ("hours_ago", "said"),
    [(0.2, "within the last hour"), (1, "1 hour ago"), (30, "1 day ago"), (70, "2 days ago")],
)
def test_advice_tells_the_time_of_the_earlier_run_in_its_largest_unit(
    hours_ago: float, said: str
) -> None:
    last = Retrainings(by_drift=3, by_drift_us=NOW - round(hours_ago * MICROS_PER_HOUR))
    advice = respond(ALARM, NOW, last, cooldown_days=7.0).advice
    assert f"run 3, which was started for drift {said};" in advice
